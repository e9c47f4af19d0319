"""An MCP server over the stdin and stdout of its process, as the SDK's session takes a transport."""

import asyncio
import json
import re
import time
from collections import deque
from types import TracebackType
from typing import Any, Final, Self

import anyio
import mcp_types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from prx.config.integrations import McpServerConfig
from prx.core.errors import UnavailableError
from prx.mcp.client.lines import LongLine
from prx.mcp.client.process import Command, ServerProcess
from prx.mcp.client.requests import Message, Requests
from prx.runtime.foreign_output import ForeignOutput

# Where SDKs put the id of an answer: in front, or behind the result.
_ID_IN_FRONT: Final = re.compile(rb'\A\s*\{"jsonrpc"\s*:\s*"2\.0"\s*,\s*"id"\s*:\s*"?([0-9]+)"?\s*,')
_ID_AT_THE_END: Final = re.compile(rb'"id"\s*:\s*"?([0-9]+)"?\s*\}\s*\Z')
# What a server may say unasked before it is read more slowly.
_BURST: Final = 5000.0
_PER_SEC: Final = 500.0
_LONGEST_BREATH_SECS: Final = 1.0
_MAX_QUOTED: Final = 200


class Inbox:
    """The messages for the SDK's session, in the order of their arrival."""

    def __init__(self) -> None:
        """Start with none."""
        self._messages: deque[SessionMessage | Exception] = deque()
        self._news = asyncio.Event()
        self._closed = False

    def put(self, message: SessionMessage) -> None:
        """Add a message, unless nobody reads any more."""
        if not self._closed:
            self._messages.append(message)
            self._news.set()

    def close(self) -> None:
        """End the stream behind the messages that are there."""
        self._closed = True
        self._news.set()

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message.

        Raises:
            anyio.EndOfStream: there is no other.
        """
        while not self._messages:
            if self._closed:
                raise anyio.EndOfStream
            self._news.clear()
            await self._news.wait()
        return self._messages.popleft()

    async def aclose(self) -> None:
        """Read no more."""
        self.close()
        self._messages.clear()

    def __aiter__(self) -> Self:
        """Iterate over the messages until the stream ends."""
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        """Return the next message."""
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Read no more."""
        await self.aclose()


class Outbox:
    """Where the SDK's session writes."""

    def __init__(self, transport: "StdioTransport") -> None:
        """Write to the process of `transport`."""
        self._transport = transport

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message.

        Raises:
            anyio.BrokenResourceError: the process does not take it.
        """
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True).encode()
        try:
            self._transport.write_line(line)
        except UnavailableError as error:
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Leave the closing to the transport."""

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Leave the closing to the transport."""


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

    @property
    def pid(self) -> int | None:
        """The process's id, once it was started."""
        return None if self._process is None else self._process.pid

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
        return self._inbox, Outbox(self)

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

    def write_line(self, line: bytes) -> None:
        """Send one message.

        Raises:
            UnavailableError: the process does not take it.
        """
        if self._process is None:
            raise UnavailableError("its process is not started yet")
        self._process.write(line + b"\n")

    def _post(self, message: Message) -> None:
        self.write_line(to_json(message))

    def _complain(self, text: str) -> None:
        self._output.write("info", text)

    def _on_end(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            self._inbox.close()
            self.requests.end(self.fault or "the connection ended")

    def _take_line(self, line: bytes | LongLine) -> None:
        self.heard_at = time.monotonic()
        if isinstance(line, LongLine):
            self._refuse(line)
        elif line.strip():
            message = _parsed(line)
            for each in message if isinstance(message, list) else [message]:
                self._take(each, line)

    def _take(self, message: Any, line: bytes) -> None:
        if isinstance(message, dict) and self.requests.take(message):
            return
        self._spend()
        try:
            parsed = mcp_types.jsonrpc_message_adapter.validate_python(message, by_name=False)
        except ValidationError:
            quoted = line[:_MAX_QUOTED].decode("utf-8", "replace")
            self._output.write("warn", f"it wrote to its stdout what is no message of MCP: {quoted}")
        else:
            self._inbox.put(SessionMessage(parsed))

    def _refuse(self, line: LongLine) -> None:
        """Tell whoever waits for it that an answer is too long; the session's own requests run out of time."""
        self._spend()
        reason = f"the server's answer is too large: {line.size} bytes in one line"
        self._output.write("warn", f"it wrote a line of {line.size} bytes, which is not read")
        found = _ID_IN_FRONT.search(line.head) or _ID_AT_THE_END.search(line.tail)
        if found is not None:
            self.requests.refuse(found[1].decode(), reason)

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


def _parsed(line: bytes) -> Any:
    """Return the JSON value of a line, None where it has none; what is not UTF-8 in it is replaced."""
    try:
        return from_json(line, allow_inf_nan=False)
    except ValueError:
        try:
            # Also takes half a surrogate pair, which servers in JavaScript write.
            return json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
