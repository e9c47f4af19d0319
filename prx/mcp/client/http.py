"""An MCP server over streamable HTTP: each message is a request of its own, and one that fails costs itself alone."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final

import anyio
import httpx2
import mcp_types
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from prx.config.integrations import McpServerConfig
from prx.core.errors import PrxError, UnavailableError
from prx.core.upstream import UpstreamError
from prx.mcp.client.answers import BrokenAnswerError, Event, body_of, events_of, is_answer_to, media_type
from prx.mcp.client.http_headers import Described
from prx.mcp.client.http_wire import EVENTS, JSON, SESSION, HttpWire, Opened
from prx.mcp.client.oauth.bearer import Bearer
from prx.mcp.client.oauth.logins import NeedsLoginError
from prx.mcp.client.requests import LostError, Message, Requests, SessionLostError, TooLargeError
from prx.mcp.client.streams import Inbox, Outbox, deliver, parsed, quoted, written
from prx.runtime.foreign_output import ForeignOutput

_LAST_EVENT: Final = "last-event-id"
_REST_SECS: Final = 1.0
_PAUSE_SECS: Final = 1.0
_LONGEST_PAUSE_SECS: Final = 60.0
_MAX_RESUMED: Final = 2
_OPENING: Final = frozenset({"initialize", "server/discover"})
_UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_OK, _ACCEPTED, _BAD, _MISSING = 200, 202, 400, 404


class HttpTransport:
    """One session with one server."""

    pid: None = None
    busy = False

    def __init__(
        self, config: McpServerConfig, output: ForeignOutput, bearer: Bearer, doubt: Callable[[], None]
    ) -> None:
        """Reach `config.url` as `bearer`; `doubt` is called when an exchange failed in a way that others may, too."""
        self._wire = HttpWire(config, bearer)
        self._described = Described()
        self._output = output
        self._doubt = doubt
        self._inbox = Inbox()
        self._tasks: set[asyncio.Task[None]] = set()
        self._exchanges: dict[Any, asyncio.Task[None]] = {}
        self.requests = Requests(self._post)
        self.ended = asyncio.Event()
        self.heard_at = time.monotonic()
        self.needs_auth = False
        self.fault: str | None = None

    async def __aenter__(self) -> tuple[Inbox, Outbox]:
        """Make the client; nothing is sent yet."""
        await self._wire.open()
        return self._inbox, Outbox(self._send)

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Say goodbye, where there is a session, and end every exchange."""
        with anyio.CancelScope(shield=True):
            lasts = not self.ended.is_set()
            self._end(None)
            if lasts:
                await self._wire.say_goodbye()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._wire.aclose()

    def speak(self, version: str) -> None:
        """Send what comes next as this version of the protocol has it."""
        self._wire.version = version

    def objection(self, tool: Mapping[str, Any]) -> str | None:
        """Return why a listed tool cannot be called this way; remembers which of its arguments are headers, too."""
        return self._described.objection(tool) if self._is_modern else None

    @property
    def _is_modern(self) -> bool:
        return self._wire.version in MODERN_PROTOCOL_VERSIONS

    def _send(self, item: SessionMessage) -> None:
        message = item.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
        stamped = item.metadata.headers if isinstance(item.metadata, ClientMessageMetadata) else None
        headers = dict(stamped or {})
        if message.get("method") == "initialize":
            self._wire.version = None
        elif MCP_PROTOCOL_VERSION_HEADER in headers:
            self._wire.version = headers[MCP_PROTOCOL_VERSION_HEADER]
        self._begin(message, headers)

    def _post(self, message: Message) -> None:
        self._begin(message, self._described.headers(message) if self._is_modern else {})

    def _begin(self, message: Message, headers: Mapping[str, str]) -> None:
        if self.ended.is_set():
            raise UnavailableError(self.fault or "the daemon closed the connection")
        if message.get("method") == "notifications/cancelled":
            self._cancel(message, headers)
            return
        task = self._start(self._exchange(message, headers))
        if "method" in message and "id" in message:
            self._exchanges[message["id"]] = task
            task.add_done_callback(lambda _: self._exchanges.pop(message["id"], None))
        if message.get("method") == "notifications/initialized" and self._wire.session_id is not None:
            self._start(self._listen())

    def _cancel(self, message: Message, headers: Mapping[str, str]) -> None:
        """Nobody waits for an exchange any more: the newer era ends it, the older one says so as well."""
        exchange = self._exchanges.get(message["params"]["requestId"])
        if not self._is_modern:
            self._start(self._exchange(message, headers))
        if exchange is not None:
            exchange.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _exchange(self, message: Message, headers: Mapping[str, str]) -> None:
        """Send one message and deliver what is answered."""
        try:
            async with await self._opened("POST", headers, written(message)) as response:
                await self._take(message, response)
        except httpx2.HTTPError as error:
            reason = f"{type(error).__name__} {error}".strip()
            if isinstance(error, _UNSENT):
                self._fail(message, UnavailableError(f"it cannot be reached: {reason}"))
            else:
                self._fail(message, LostError(f"its answer broke off: {reason}"))
            self._doubt()
        except PrxError as error:
            self._fail(message, error)
            if isinstance(error, NeedsLoginError):
                self.needs_auth = True
                self._end(error.message)

    async def _opened(self, method: str, headers: Mapping[str, str], content: bytes | None = None) -> Opened:
        """See `HttpWire.opened`; any answer is a sign of life."""
        opened = await self._wire.opened(method, headers, content)
        self.heard_at = time.monotonic()
        return opened

    async def _take(self, message: Message, response: httpx2.Response) -> None:
        """Deliver the answer to `message`.

        Raises:
            PrxError: there is none.
        """
        asks = "method" in message and "id" in message
        if response.status_code >= _BAD:
            await self._take_refusal(message, response)
        elif not asks:
            return
        elif response.status_code == _ACCEPTED:
            raise UpstreamError("it accepted a request without answering it", 0)
        else:
            if message["method"] == "initialize":
                self._wire.session_id = response.headers.get(SESSION)
            kind = media_type(response)
            if kind == EVENTS:
                await self._take_events(message["id"], response)
            elif kind != JSON:
                raise UpstreamError(f"it answered with {kind or 'no content type'}", 0)
            elif not self._deliver(await body_of(response), message["id"]):
                raise UpstreamError("it answered something else than it was asked", 0)

    async def _take_refusal(self, message: Message, response: httpx2.Response) -> None:
        status = response.status_code
        if status == _MISSING and self._wire.session_id is not None:
            # It was restarted: whatever is asked in the old session never runs.
            self._fail(message, SessionLostError("it has forgotten the session"))
            self._end("it has forgotten the session (HTTP 404)")
            return
        if media_type(response) == JSON:
            with suppress(BrokenAnswerError, TooLargeError):
                answer = parsed(await body_of(response))
                if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
                    self._share_out({**answer, "id": message.get("id")}, b"")
                    return
        number = mcp_types.METHOD_NOT_FOUND if status == _MISSING else mcp_types.INTERNAL_ERROR
        raise UpstreamError(f"it answered with HTTP {status}", number)

    async def _take_events(self, number: Any, response: httpx2.Response, resumed: int = 0) -> None:
        """Deliver events until the request `number` is answered; a stream that breaks off before is resumed.

        Raises:
            LostError: the answer is not among them.
        """
        last_id: str | None = None
        pause_secs = _PAUSE_SECS
        events = events_of(response)
        try:
            async for event in events:
                last_id = event.id or last_id
                pause_secs = _pause_secs(event, pause_secs)
                if self._take_event(event, number):
                    await self._take_rest(events)
                    return
        except httpx2.HTTPError as error:
            if last_id is None:
                raise LostError(f"its answer broke off: {type(error).__name__}") from error
        if last_id is None or resumed == _MAX_RESUMED:
            raise LostError("its answer broke off")
        await asyncio.sleep(pause_secs)
        async with await self._opened("GET", {"accept": EVENTS, _LAST_EVENT: last_id}) as again:
            if again.status_code != _OK:
                raise LostError("its answer broke off, and cannot be had again")
            await self._take_events(number, again, resumed + 1)

    async def _take_rest(self, events: AsyncGenerator[Event, None]) -> None:
        """Read a stream to its end, which comes soon after the answer: so that its connection can be used again."""
        with suppress(TimeoutError, httpx2.HTTPError):
            async with asyncio.timeout(_REST_SECS):
                async for event in events:
                    self._take_event(event, None)

    async def _listen(self) -> None:
        """Hear what the server says unasked, as long as the session lasts; many a server says nothing."""
        last_id: str | None = None
        pause_secs = _PAUSE_SECS
        while True:
            headers = {"accept": EVENTS} | ({_LAST_EVENT: last_id} if last_id else {})
            try:
                async with await self._opened("GET", headers) as response:
                    if response.status_code >= _BAD or media_type(response) != EVENTS:
                        return
                    async for event in events_of(response):
                        last_id = event.id or last_id
                        pause_secs = _pause_secs(event, pause_secs)
                        self._take_event(event, None)
            except (httpx2.HTTPError, PrxError):
                self._doubt()
            await asyncio.sleep(pause_secs)

    def _take_event(self, event: Event, number: Any) -> bool:
        """Deliver an event; True where it answers the request `number`."""
        return event.kind == "message" and bool(event.data) and self._deliver(event.data, number)

    def _deliver(self, text: bytes, number: Any) -> bool:
        value = parsed(text)
        self._share_out(value, text)
        return is_answer_to(value, number)

    def _share_out(self, value: Any, text: bytes) -> None:
        self.heard_at = time.monotonic()
        if fault := deliver(value, self.requests, self._inbox, lambda: None):
            self._output.write("warn", f"it answered with {fault}: {quoted(text)}")

    def _fail(self, message: Message, error: PrxError) -> None:
        """Tell whoever waits for an answer to `message` that none comes; nothing where one has come."""
        if "method" not in message or "id" not in message or self.requests.fail(message["id"], error):
            return
        number = error.number if isinstance(error, UpstreamError) else mcp_types.CONNECTION_CLOSED
        if isinstance(error, UnavailableError) and message["method"] in _OPENING:
            self._end(error.message)
        data = mcp_types.ErrorData(code=number or mcp_types.INTERNAL_ERROR, message=error.message)
        self._inbox.put(SessionMessage(mcp_types.JSONRPCError(jsonrpc="2.0", id=message["id"], error=data)))

    def _end(self, fault: str | None) -> None:
        if not self.ended.is_set():
            self.fault = fault
            self.ended.set()
            self.requests.end(fault or "the daemon closed the connection")
            self._inbox.close()


def _pause_secs(event: Event, before: float) -> float:
    return before if event.pause_secs is None else min(event.pause_secs, _LONGEST_PAUSE_SECS)
