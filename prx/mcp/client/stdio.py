"""An MCP server over the stdin and stdout of its process."""

import asyncio
import re
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

import anyio
from mcp.shared.message import SessionMessage

from prx.config.integrations import McpServerConfig
from prx.core.errors import UnavailableError
from prx.mcp.client.lines import LongLine
from prx.mcp.client.process import Command, ServerProcess
from prx.mcp.client.requests import Message, Requests, TooLargeError
from prx.mcp.client.streams import Inbox, Outbox, deliver, parsed, quoted, written
from prx.runtime.foreign_output import ForeignOutput

# Where SDKs put the id of an answer: in front, or behind the result.
_ID_IN_FRONT: Final = re.compile(rb'\A\s*\{"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*"?([0-9]+)"?\s*,')
_ID_AT_THE_END: Final = re.compile(rb'"id"\s*:\s*"?([0-9]+)"?\s*\}\s*\Z')
# What a server may say unasked before it is read more slowly.
_BURST: Final = 5000.0
_PER_SEC: Final = 500.0
_LONGEST_BREATH_SECS: Final = 1.0


class StdioTransport:
    """One process for one connection: started when the block is entered, gone when it is left."""

    def __init__(self, config: McpServerConfig, output: ForeignOutput) -> None:
        """Start what `config` names; `output` gets its stderr, and what it says that is no message."""
        self._config = config
        self._output = output
        self._process: ServerProcess | None = None
        self._inbox = Inbox()
        self._allowance = _BURST
        self._refilled = time.monotonic()
        self._breath: asyncio.TimerHandle | None = None
        self.requests = Requests(self._post)
        self.ended = asyncio.Event()
        """Set when it exits or closes its stdout."""
        self.heard_at = time.monotonic()
        """When it last said anything."""
        self.needs_auth = False

    @property
    def pid(self) -> int | None:
        """The process's id, once it was started."""
        return None if self._process is None else self._process.pid

    @property
    def busy(self) -> bool:
        """Whether it may have no time for anything else: many a server does one thing at a time."""
        return self.requests.in_flight > 0

    @property
    def fault(self) -> str | None:
        """Why the server ended the connection; None where it did not."""
        return None if self._process is None else self._process.fault

    async def __aenter__(self) -> tuple[Inbox, Outbox]:
        """Start the process.

        Raises:
            UnavailableError: it cannot be started.
        """
        command = await asyncio.to_thread(Command.of, self._config)
        with anyio.CancelScope(shield=True):
            self._process = await ServerProcess.start(command, self._take_line, self._complain, self._on_end)
        return self._inbox, Outbox(self._send)

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End the process and its group, in bounded time and whoever is in a hurry."""
        if self._process is not None:
            with anyio.CancelScope(shield=True):
                await self._process.end()
        if self._breath is not None:
            self._breath.cancel()
        self._on_end()

    def objection(self, _tool: Mapping[str, Any]) -> str | None:
        """Return None: every tool can be called this way."""
        return None

    def speak(self, version: str) -> None:
        """Nothing here depends on the protocol's version."""

    def _post(self, message: Message) -> None:
        self._write(written(message))

    def _send(self, item: SessionMessage) -> None:
        self._write(written(item.message.model_dump(by_alias=True, mode="json", exclude_unset=True)))

    def _write(self, line: bytes) -> None:
        if self._process is None:
            raise UnavailableError("its process is not started yet")
        self._process.write(line + b"\n")

    def _complain(self, text: str) -> None:
        self._output.write("info", text)

    def _on_end(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            self._inbox.close()
            self.requests.end(self.fault or "the daemon closed the connection")

    def _take_line(self, line: bytes | LongLine) -> None:
        self.heard_at = time.monotonic()
        if isinstance(line, LongLine):
            self._refuse(line)
        elif line.strip() and (fault := deliver(parsed(line), self.requests, self._inbox, self._spend)):
            self._output.write("warn", f"it wrote to its stdout {fault}: {quoted(line)}")

    def _refuse(self, line: LongLine) -> None:
        """Tell whoever waits for it that an answer is too long; the session's own requests run out of time."""
        self._spend()
        reason = f"the server's answer is too large: {line.size} bytes in one line"
        self._output.write("warn", f"it wrote a line of {line.size} bytes, which is not read")
        found = _ID_IN_FRONT.search(line.head) or _ID_AT_THE_END.search(line.tail)
        if found is not None:
            self.requests.fail(found[1].decode(), TooLargeError(reason, 0))

    def _spend(self) -> None:
        """Read more slowly once it said more than it should: whoever floods the daemon slows down itself alone."""
        now = time.monotonic()
        self._allowance = min(_BURST, self._allowance + (now - self._refilled) * _PER_SEC) - 1
        self._refilled = now
        if self._allowance < 0 and self._breath is None and self._process is not None:
            self._process.pause(paused=True)
            breath_secs = min(_LONGEST_BREATH_SECS, -self._allowance / _PER_SEC)
            self._breath = asyncio.get_running_loop().call_later(breath_secs, self._read_on)

    def _read_on(self) -> None:
        self._breath = None
        if self._process is not None and not self.ended.is_set():
            self._process.pause(paused=False)
