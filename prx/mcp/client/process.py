"""One MCP server's process: in a group of its own, with a clean environment, ended in bounded time."""

import asyncio
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, cast

from prx.config.integrations import McpServerConfig
from prx.core.errors import UnavailableError
from prx.mcp.client.lines import LineSplitter, LongLine

_LAUNCHER: Final = str(Path(__file__).with_name("launcher.py"))
_INHERITED: Final = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
_MAX_LINE_BYTES: Final = 8 * 1024 * 1024
_MAX_STDERR_LINE: Final = 8 * 1024
_KEPT_STDERR_LINES: Final = 20
_MAX_LAST_WORDS: Final = 1000
_MAX_UNREAD_BYTES: Final = 4 * 1024 * 1024
# In order: for its own end once stdin is closed, after SIGTERM, after SIGKILL.
_PATIENCE_SECS: Final = (2.0, 2.0, 2.0)
_LAST_WORDS_SECS: Final = 0.2


class Command(NamedTuple):
    """What is started."""

    program: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    directory: Path | None

    @classmethod
    def of(cls, config: McpServerConfig) -> Self:
        """Return what `config` says. Looks for the program, which blocks.

        Raises:
            UnavailableError: there is no such program or directory.
        """
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment |= {name: value.get_secret_value() for name, value in config.env.items()}
        command = config.command or ""
        if config.cwd is not None and not config.cwd.is_dir():
            raise UnavailableError(
                f"its working directory {config.cwd} does not exist: make it, or set another cwd"
            )
        wanted = str((config.cwd or Path.cwd()) / command) if "/" in command else command
        program = shutil.which(wanted, path=environment.get("PATH"))
        if program is None:
            raise UnavailableError(f"its program {command} {_unfit(wanted)}")
        return cls(program, config.args, environment, config.cwd)


class ServerProcess(asyncio.SubprocessProtocol):
    """A running server. Everything that it holds is given back by `end`."""

    def __init__(
        self,
        leash: int,
        on_line: Callable[[bytes | LongLine], None],
        on_complaint: Callable[[str], None],
        on_end: Callable[[], None],
    ) -> None:
        """Use `start`."""
        self._leash = leash
        self._on_line = on_line
        self._on_complaint = on_complaint
        self._on_end = on_end
        self._transport: asyncio.SubprocessTransport
        self._lines = {1: LineSplitter(_MAX_LINE_BYTES), 2: LineSplitter(_MAX_STDERR_LINE)}
        self._unsent = bytearray()
        self._last_words: deque[str] = deque(maxlen=_KEPT_STDERR_LINES)
        self._exited = asyncio.Event()
        self._noticing: asyncio.TimerHandle | None = None
        self._silent = asyncio.Event()
        self._open_pipes = {0, 1, 2}
        self._how_it_ended: str | None = None
        self.pid = 0
        """Its process id, and its group's."""

    @classmethod
    async def start(
        cls,
        command: Command,
        on_line: Callable[[bytes | LongLine], None],
        on_complaint: Callable[[str], None],
        on_end: Callable[[], None],
    ) -> Self:
        """Start `command`. Must not be cancelled: the process would have no owner.

        Args:
            command: what to start.
            on_line: takes each line of its stdout.
            on_complaint: takes each line of its stderr.
            on_end: called when it exits or closes its stdout.

        Raises:
            UnavailableError: it cannot be started.
        """
        held, leash = os.pipe()
        try:
            _, process = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(leash, on_line, on_complaint, on_end),
                # -I -S: nothing of its environment is the launcher's business.
                sys.executable, "-I", "-S", _LAUNCHER, str(held), command.program, *command.arguments,
                env=command.environment,
                cwd=command.directory,
                start_new_session=True,
                pass_fds=(held,),
            )  # fmt: skip
        except (OSError, ValueError) as error:  # the latter where there is a NUL in it
            os.close(leash)
            raise UnavailableError(f"its process cannot be started: {error}") from error
        finally:
            os.close(held)
        return process

    @property
    def fault(self) -> str | None:
        """How it ended by itself, with its last words on stderr; None where it did not."""
        how = self._ended_how() if self._how_it_ended is None else self._how_it_ended
        if not how:
            return None
        words = " / ".join(self._last_words)
        return f"{how}; its last words on stderr: {words[-_MAX_LAST_WORDS:]}" if words else how

    def write(self, data: bytes) -> None:
        """Send `data` to its stdin; waits for nothing.

        Raises:
            UnavailableError: its stdin is closed, or it does not read what was sent before.
        """
        stdin = cast("asyncio.WriteTransport | None", self._transport.get_pipe_transport(0))
        if stdin is None or stdin.is_closing() or 0 not in self._open_pipes:
            raise UnavailableError("its process has closed its stdin")
        if stdin.get_write_buffer_size() + len(self._unsent) > _MAX_UNREAD_BYTES:
            raise UnavailableError("its process does not read what it is sent")
        if not self._unsent:
            # Once for all that one turn of the loop sends: each time wakes the process.
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += data

    def pause(self, *, paused: bool) -> None:
        """Stop or go on reading what it writes."""
        stdout = cast("asyncio.ReadTransport | None", self._transport.get_pipe_transport(1))
        if stdout is not None and not stdout.is_closing():
            (stdout.pause_reading if paused else stdout.resume_reading)()

    async def end(self) -> None:
        """Have it and its whole group end: by its closed stdin, then by SIGTERM, then by SIGKILL."""
        if 1 not in self._open_pipes:
            await _within(_LAST_WORDS_SECS, self._exited)  # to tell an end from a closed pipe
        self._how_it_ended = self._ended_how() or ""
        if self._noticing is not None:
            self._noticing.cancel()
        self.pause(paused=False)  # what waits to be read must not keep it from its end
        self._close_stdin()
        for patience, number in zip(_PATIENCE_SECS, (signal.SIGTERM, signal.SIGKILL, None), strict=True):
            if await _within(patience, self._exited):
                break
            if number is not None:
                self._kill(number)
        await _within(_LAST_WORDS_SECS, self._silent)
        self._kill(signal.SIGKILL)  # whoever of its group is left
        os.close(self._leash)
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the process, which runs by now."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Cut what it wrote into lines."""
        for line in self._lines[fd].feed(data):
            if fd == 1:
                if self._how_it_ended is None:
                    self._on_line(line)
            else:
                self._complain(line.tail if isinstance(line, LongLine) else line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's name
        """Notice that it closed a pipe."""
        self._open_pipes.discard(fd)
        if fd == 2:  # noqa: PLR2004  # stderr
            self._complain(self._lines[fd].rest())
        if self._open_pipes <= {0}:
            self._silent.set()
        if fd == 1 and not self._exited.is_set():
            # One that ends closes it first: a moment tells the two apart, and why it ended.
            self._noticing = asyncio.get_running_loop().call_later(_LAST_WORDS_SECS, self._on_end)

    def process_exited(self) -> None:
        """Notice its end; somebody else of its group may still hold its pipes."""
        self._exited.set()
        self._on_end()

    def _ended_how(self) -> str | None:
        code = self._transport.get_returncode()
        if code is None:
            return None if 1 in self._open_pipes else "its process closed its stdout"
        if code < 0:
            return f"its process was killed by signal {-code}"
        return f"its process exited with code {code}"

    def _complain(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        if text:
            self._last_words.append(text)
            self._on_complaint(text)

    def _flush(self) -> None:
        if not self._unsent:
            return  # the end was quicker
        stdin = cast("asyncio.WriteTransport | None", self._transport.get_pipe_transport(0))
        if stdin is not None and not stdin.is_closing():
            stdin.write(bytes(self._unsent))
        self._unsent.clear()

    def _close_stdin(self) -> None:
        self._flush()
        stdin: Any = self._transport.get_pipe_transport(0)
        if stdin is not None:
            # With something left to send, `close` would wait until it is read.
            (stdin.abort if stdin.get_write_buffer_size() else stdin.close)()

    def _kill(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _unfit(program: str) -> str:
    """Return why a program cannot be started, and what to do."""
    if "/" not in program:
        return "is not on the PATH: install it, or set the command to its absolute path"
    if not os.path.exists(program):  # noqa: PTH110  # no error where it has a NUL in it
        return "does not exist: install it, or correct the command"
    return "cannot be executed: make it executable, or correct the command"


async def _within(secs: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(secs):
            await event.wait()
    return event.is_set()
