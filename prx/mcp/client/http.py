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
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic_core import to_json

from prx.config.integrations import McpServerConfig
from prx.core.errors import PrxError, UnavailableError
from prx.core.upstream import UpstreamError
from prx.mcp.client.answers import BrokenAnswerError, Event, body_of, events_of, is_answer_to, media_type
from prx.mcp.client.oauth.bearer import Bearer
from prx.mcp.client.oauth.logins import NeedsLoginError
from prx.mcp.client.requests import LostError, Message, Requests, SessionLostError, TooLargeError
from prx.mcp.client.streams import Inbox, Outbox, deliver, parsed, quoted
from prx.mcp.client.tls import tls_context
from prx.runtime.foreign_output import ForeignOutput

_SESSION: Final = "mcp-session-id"
_LAST_EVENT: Final = "last-event-id"
_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_CONNECT_SECS: Final = 10.0
_WRITE_SECS: Final = 30.0
_FAREWELL_SECS: Final = 2.0
_REST_SECS: Final = 1.0
_PAUSE_SECS: Final = 1.0
_LONGEST_PAUSE_SECS: Final = 60.0
_MAX_RESUMED: Final = 2
_MAX_REDIRECTS: Final = 3
_KEPT_METHOD: Final = frozenset({307, 308})
_OPENING: Final = frozenset({"initialize", "server/discover"})
_UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_OK, _ACCEPTED, _REDIRECT, _BAD, _MISSING = 200, 202, 300, 400, 404


class HttpTransport:
    """One session with one server."""

    pid: None = None
    busy = False

    def __init__(
        self, config: McpServerConfig, output: ForeignOutput, bearer: Bearer, doubt: Callable[[], None]
    ) -> None:
        """Reach `config.url` as `bearer`; `doubt` is called when an exchange failed in a way that others may, too."""
        self._config = config
        self._url = self._post_url = httpx2.URL(config.url or "")
        self._output = output
        self._bearer = bearer
        self._doubt = doubt
        self._client: httpx2.AsyncClient
        self._inbox = Inbox()
        self._tasks: set[asyncio.Task[None]] = set()
        self._exchanges: dict[Any, asyncio.Task[None]] = {}
        self._param_headers: dict[str, dict[tuple[str, ...], str]] = {}
        self._session_id: str | None = None
        self._version: str | None = None
        self.requests = Requests(self._post)
        self.ended = asyncio.Event()
        self.heard_at = time.monotonic()
        self.needs_auth = False
        self.fault: str | None = None

    async def __aenter__(self) -> tuple[Inbox, Outbox]:
        """Make the client; nothing is sent yet."""
        await self._bearer.open()
        headers = {name: value.get_secret_value() for name, value in self._config.headers.items()}
        self._client = httpx2.AsyncClient(
            # What is compressed could be any size.
            headers={"accept-encoding": "identity", **headers},
            verify=await asyncio.to_thread(tls_context),
            # How long an answer may take is up to who waits for it.
            timeout=httpx2.Timeout(None, connect=_CONNECT_SECS, write=_WRITE_SECS),
            limits=httpx2.Limits(max_connections=None),
        )
        return self._inbox, Outbox(self._send)

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Say goodbye, where there is a session, and end every exchange."""
        with anyio.CancelScope(shield=True):
            has_session = self._session_id is not None and not self.ended.is_set()
            self._end(None)
            if has_session:
                with suppress(TimeoutError, httpx2.HTTPError):
                    async with asyncio.timeout(_FAREWELL_SECS):
                        headers = {**self._own_headers(), **self._bearer.headers}
                        await self._client.delete(self._url, headers=headers)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._bearer.aclose()
            await self._client.aclose()

    def speak(self, version: str) -> None:
        """Send what comes next as this version of the protocol has it."""
        self._version = version

    def objection(self, tool: Mapping[str, Any]) -> str | None:
        """Return why a listed tool cannot be called this way; remembers which of its arguments are headers, too."""
        if not self._is_modern:
            return None
        if (fault := find_invalid_x_mcp_header(tool.get("inputSchema"))) is not None:
            return f"its x-mcp-header is wrong: {fault}"
        self._param_headers[tool["name"]] = x_mcp_header_map(tool.get("inputSchema"))
        return None

    @property
    def _is_modern(self) -> bool:
        return self._version in MODERN_PROTOCOL_VERSIONS

    def _send(self, item: SessionMessage) -> None:
        message = item.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
        stamped = item.metadata.headers if isinstance(item.metadata, ClientMessageMetadata) else None
        headers = dict(stamped or {})
        if message.get("method") == "initialize":
            self._version = None
        elif MCP_PROTOCOL_VERSION_HEADER in headers:
            self._version = headers[MCP_PROTOCOL_VERSION_HEADER]
        self._begin(message, headers)

    def _post(self, message: Message) -> None:
        self._begin(message, self._described(message) if self._is_modern else {})

    def _described(self, message: Message) -> dict[str, str]:
        """Return the headers in which the newer era repeats what a message is about."""
        method, params = message["method"], message.get("params") or {}
        headers = {MCP_METHOD_HEADER: method}
        if isinstance(name := params.get(NAME_BEARING_METHODS.get(method, "")), str):
            headers[MCP_NAME_HEADER] = encode_header_value(name)
        if method == "tools/call" and (found := self._param_headers.get(params["name"])):
            headers |= mcp_param_headers(found, params["arguments"])
        return headers

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
        if message.get("method") == "notifications/initialized" and self._session_id is not None:
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
            async with await self._opened("POST", headers, to_json(message)) as response:
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

    async def _opened(
        self, method: str, headers: Mapping[str, str], content: bytes | None = None
    ) -> "_Opened":
        """Send a request, and again where it is redirected within its origin; its body is still to be read."""
        url = self._url if method == "GET" else self._post_url
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._authorized(method, url, {**self._own_headers(), **headers}, content)
            self.heard_at = time.monotonic()
            if not _REDIRECT <= response.status_code < _BAD:
                return _Opened(response)
            await response.aclose()
            target = url.join(response.headers.get("location", ""))
            if response.status_code not in _KEPT_METHOD or origin(target) != origin(url):
                break
            url = target
        raise UpstreamError(f"it redirects to {origin(target)}: set the url to where it is", 0)

    async def _authorized(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], content: bytes | None
    ) -> httpx2.Response:
        """Send a request as whom we are logged in; raises as `Bearer.send`."""

        async def attempt(token: Mapping[str, str]) -> httpx2.Response:
            request = self._client.build_request(method, url, content=content, headers={**headers, **token})
            return await self._client.send(request, stream=True, follow_redirects=False)

        return await self._bearer.send(attempt)

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
                self._session_id = response.headers.get(_SESSION)
            kind = media_type(response)
            if kind == _EVENTS:
                await self._take_events(message["id"], response)
            elif kind != _JSON:
                raise UpstreamError(f"it answered with {kind or 'no content type'}", 0)
            elif not self._deliver(await body_of(response), message["id"]):
                raise UpstreamError("it answered something else than it was asked", 0)

    async def _take_refusal(self, message: Message, response: httpx2.Response) -> None:
        status = response.status_code
        if status == _MISSING and self._session_id is not None:
            # It was restarted: whatever is asked in the old session never runs.
            self._fail(message, SessionLostError("it has forgotten the session"))
            self._end("it has forgotten the session (HTTP 404)")
            return
        if media_type(response) == _JSON:
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
        async with await self._opened("GET", {"accept": _EVENTS, _LAST_EVENT: last_id}) as again:
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
            headers = {"accept": _EVENTS} | ({_LAST_EVENT: last_id} if last_id else {})
            try:
                async with await self._opened("GET", headers) as response:
                    if response.status_code >= _BAD or media_type(response) != _EVENTS:
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

    def _own_headers(self) -> dict[str, str]:
        headers = {"accept": f"{_JSON}, {_EVENTS}", "content-type": _JSON}
        if self._session_id is not None:
            headers[_SESSION] = self._session_id
        if self._version is not None:
            headers[MCP_PROTOCOL_VERSION_HEADER] = self._version
        return headers

    def _end(self, fault: str | None) -> None:
        if not self.ended.is_set():
            self.fault = fault
            self.ended.set()
            self.requests.end(fault or "the daemon closed the connection")
            self._inbox.close()


class _Opened:
    """A response whose body is closed at the end of the block."""

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aenter__(self) -> httpx2.Response:
        return self._response

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._response.aclose()


def _pause_secs(event: Event, before: float) -> float:
    return before if event.pause_secs is None else min(event.pause_secs, _LONGEST_PAUSE_SECS)


def origin(url: httpx2.URL) -> str:
    """Return scheme, host and port, without user and password."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
