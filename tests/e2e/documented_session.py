"""A document's commands, run in their order as a reader would: a daemon in one terminal, a shell in another.

The words behind a block's language say what it is. `file=NAME`: the reader saves it. `daemon`: the reader starts it
and leaves it running. `run`: it ends with 0; `fails`: it does not. `output`: what the command above it printed. `log`:
lines that the daemon logs from here on, in any order. `needs=TOOL`: it takes more than PRX and a shell.
"""

import doctest
import json
import os
import queue
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from prx.runtime.log_format import readable_lines
from tests.e2e.daemon_process import DaemonProcess
from tests.support.servers.ports import reserved_port
from tests.unit.docs.documents import Block

DOCUMENTED_PORT = "3120"
_DOCUMENTED_HOME = "/home/you"
# Building and compiling a Python component takes a minute where others use the machine too.
_PATIENCE_SECS = 300.0
_END = "-- the end of a block --"
# A checkout's commands stand under `.venv/bin`, an installed program's on the path.
_DAEMON_COMMANDS = (["prx", "daemon"], [".venv/bin/prx", "daemon"], ["make", "run"])

# What differs from one run to the next; everything else has to be as the document shows it.
_VOLATILE = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d\.\d+)?Z", "TIME"),
    (r'("\w*(?:_ms|_bytes|_secs)": *)[\d.e-]+', r"\1 N"),
    (r"\bprx_[\w-]{43}", "TOKEN"),
    (r"\b(tok|req|sess|msg|call)_[\w-]{16}(-[0-9a-f]+)?", r"\1_ID"),
    (r"\bpid \d+", "pid N"),
    (r"token_command='[^']*prx ", "token_command='prx "),
    (r"sha256:[0-9a-f]{64}", "DIGEST"),
    (r"(X-RateLimit-(?:Remaining|Reset)|Content-Length|Date): .*", r"\1: ?"),
]
# The interpreter's own directory comes first: that is where an installed `prx` lies.
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
_render = readable_lines(colours=False)


class Shell:
    """One bash for all commands: what a block sets, the next one has."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash"],
            cwd=home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def run(self, commands: str) -> tuple[int, str]:
        """Return the exit code of the last command and what all of them printed."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{{\n{commands}\n}} </dev/null\nprintf '\\n%s %d\\n' '{_END}' $?\n")
        self._process.stdin.flush()
        printed = ""
        try:
            while (line := self._lines.get(timeout=_PATIENCE_SECS)) is not None:
                if line.startswith(_END):
                    return int(line.removeprefix(_END)), printed.removesuffix("\n")
                printed += line
        except queue.Empty:
            raise AssertionError(f"no end of\n{commands}\nafter it printed\n{printed}") from None
        raise AssertionError(f"the shell ended at\n{commands}\nafter it printed\n{printed}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)


class LoggingDaemon(DaemonProcess):
    """A daemon whose log can be waited for line by line."""

    def next_line(self) -> str:
        """Return the next line as a terminal would show it."""
        line = self._lines.get(timeout=_PATIENCE_SECS)
        assert line is not None, f"the daemon has ended:\n{''.join(self.text)}"
        self.text.append(line)
        return _render(json.loads(line)) if line.startswith("{") else line.rstrip()


class Session:
    """Both terminals of one reader."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home = home
        self.port = str(stack.enter_context(reserved_port()))
        self._stack = stack
        self._daemon: LoggingDaemon | None = None
        # Another checkout's tests run on its own code.
        own = os.environ.get("PYTHONPATH", "")
        self._environment = {
            "HOME": str(home), "PATH": _PATH, "PYTHONPATH": own, "PRX__GATEWAY__PORT": self.port,
        }  # fmt: skip
        self._shell = stack.enter_context(Shell(home, self._environment))

    def follow(self, blocks: Sequence[Block]) -> None:
        """Do what the blocks say, and compare."""
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            shown = after.text if after is not None and "output" in after.marks else None
            where = f"line {block.line}:\n{block.text}"
            name = next(
                (mark.removeprefix("file=") for mark in block.marks if mark.startswith("file=")), None
            )
            if name is not None:
                path = self.home / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)
            elif "daemon" in block.marks:
                self._start_daemon(shlex.split(block.text))
            elif "run" in block.marks or "fails" in block.marks:
                printed = self.printed(block)
                assert shown is None or alike(shown, printed), f"{where}\nprinted\n{printed}\nnot\n{shown}"
            elif "log" in block.marks:
                self._await_log(block.text.splitlines(), where)

    def printed(self, block: Block) -> str:
        """Run a block and return what it printed, as a reader would have seen it."""
        code, printed = self._shell.run(block.text.replace(DOCUMENTED_PORT, self.port))
        assert (code != 0) == ("fails" in block.marks), f"line {block.line}: {code}\n{block.text}\n{printed}"
        return self.as_documented(printed)

    def as_documented(self, text: str) -> str:
        """Put the document's home and port in place of this run's."""
        return text.replace(str(self.home), _DOCUMENTED_HOME).replace(self.port, DOCUMENTED_PORT)

    def _start_daemon(self, command: list[str]) -> None:
        program = next(program for program in _DAEMON_COMMANDS if command[: len(program)] == program)
        self._daemon = self._stack.enter_context(
            LoggingDaemon(self.home, *command[len(program) :], environment=self._environment)
        )

    def _await_log(self, expected: list[str], where: str) -> None:
        """Wait for lines, which may come in any order: plugins load side by side."""
        assert self._daemon is not None, f"no block marked `daemon` comes before {where}"
        passed = []
        while expected:
            try:
                line = self.as_documented(self._daemon.next_line())
            except queue.Empty:
                missing, seen = "\n".join(expected), "\n".join(passed)
                raise AssertionError(f"{where}\nnever logged\n{missing}\nbut\n{seen}") from None
            passed.append(line)
            expected = [shown for shown in expected if not alike(shown, line)]


@contextmanager
def session(home: Path) -> Iterator[Session]:
    """Open both terminals in `home`; everything that was started is ended."""
    with ExitStack() as stack:
        yield Session(home, stack)


def alike(shown: str, printed: str) -> bool:
    """Tell whether they differ in layout and in what changes from run to run alone; `...` stands for anything."""
    expected, found = ("".join(_steady(text).split()) for text in (shown, printed))
    return doctest.OutputChecker().check_output(expected, found, doctest.ELLIPSIS)


def missing_tools(blocks: Sequence[Block]) -> list[str]:
    """Return the tools that some of the blocks need and that are not here."""
    needed = {
        mark.removeprefix("needs=") for block in blocks for mark in block.marks if mark.startswith("needs=")
    }
    return sorted(tool for tool in needed if shutil.which(tool, path=_PATH) is None)


def _steady(text: str) -> str:
    for pattern, name in _VOLATILE:
        text = re.sub(pattern, name, text)
    return text
