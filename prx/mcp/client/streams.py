"""Between a transport and the SDK's session: what comes in is shared out, what goes out is handed on."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self

import anyio
import mcp_types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from prx.core.errors import UnavailableError
from prx.mcp.client.requests import Requests

_MAX_QUOTED: Final = 200
_TOO_DEEP: Final = {"code": 0, "message": "the answer is nested too deeply"}


class Transport(Protocol):
    """A way to reach a server, for one connection: opened when its block is entered, closed when it is left."""

    requests: Requests
    ended: asyncio.Event
    """Set when the connection is over."""
    heard_at: float
    """When the server last said anything, by the monotonic clock."""
    needs_auth: bool
    """Whether the server refuses whoever does not log in."""

    @property
    def pid(self) -> int | None:
        """The id of the server's process, where it is one of ours."""

    @property
    def busy(self) -> bool:
        """Whether the server may be too busy for a sign of life."""

    @property
    def fault(self) -> str | None:
        """Why the server ended the connection; None where it did not."""

    def speak(self, version: str) -> None:
        """Send what comes next as this version of the protocol has it."""

    def objection(self, tool: Mapping[str, Any]) -> str | None:
        """Return why a listed tool cannot be called this way."""

    async def __aenter__(self) -> tuple["Inbox", "Outbox"]:
        """Open it. Raises UnavailableError where that fails."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, in bounded time and whoever is in a hurry."""


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
    """Where the SDK's session writes. Closing is left to the transport."""

    def __init__(self, send: Callable[[SessionMessage], None]) -> None:
        """Hand messages to `send`, which waits for nothing and raises UnavailableError where it cannot."""
        self._send = send

    async def send(self, item: SessionMessage, /) -> None:
        """Send one message.

        Raises:
            anyio.BrokenResourceError: the server does not take it.
        """
        try:
            self._send(item)
        except UnavailableError as error:
            raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Do nothing."""

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Do nothing."""


def parsed(text: bytes) -> Any:
    """Return the JSON value of `text`, None where it has none; what is no Unicode in it is replaced."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        try:
            # Also takes half a surrogate pair, which servers in JavaScript write; nothing behind this has to.
            found = json.loads(text.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
    try:
        return from_json(_unicode(found))
    except ValueError:
        # Nested too deeply to be passed on: whoever waits for it is told so at once.
        is_answer = isinstance(found, dict) and "id" in found and "method" not in found
        return {"jsonrpc": "2.0", "id": found["id"], "error": dict(_TOO_DEEP)} if is_answer else None


def written(message: Mapping[str, Any]) -> bytes:
    """Return a message as JSON; half a surrogate pair, which is no text, is replaced in it."""
    try:
        return to_json(message)
    except PydanticSerializationError:
        return _unicode(message)


def deliver(value: Any, requests: Requests, inbox: Inbox, unasked: Callable[[], None]) -> str | None:
    """Give a message, or each of several, to who waits for it; returns what is wrong where it is none.

    `unasked` is called for each that is no answer to one of `requests`.
    """
    fault = None
    for message in value if isinstance(value, list) else [value]:
        if isinstance(message, dict) and requests.take(message):
            continue
        unasked()
        try:
            known = mcp_types.jsonrpc_message_adapter.validate_python(message, by_name=False)
        except ValidationError:
            fault = "what is no message of MCP"
        else:
            inbox.put(SessionMessage(known))
    return fault


def quoted(text: bytes) -> str:
    """Return the beginning of something that is not understood."""
    return text[:_MAX_QUOTED].decode("utf-8", "replace")


def _unicode(value: Any) -> bytes:
    """Return JSON with a question mark for each half of a surrogate pair."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
