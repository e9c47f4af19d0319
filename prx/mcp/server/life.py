"""One life of the MCP server: the SDK's session manager, what the SDK does not know, and what is told to clients."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from aiohttp import hdrs, web
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.subscriptions import (
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from prx.core.errors import UnavailableError
from prx.core.upstream import Upstreams
from prx.mcp.server.calls import Calls
from prx.mcp.server.events import SESSION, Events
from prx.mcp.server.exchange import Exchange
from prx.mcp.server.lean import LeanPath
from prx.mcp.server.news import (
    LOGGED,
    PROMPTS_CHANGED,
    RESOURCE_UPDATED,
    RESOURCES_CHANGED,
    TOOLS_CHANGED,
    Batch,
    News,
)
from prx.mcp.server.passing import LEVELS, Passing
from prx.mcp.server.protocol import PrxServer
from prx.mcp.server.sessions import Session, Sessions
from prx.mcp.server.stopping import Stopping
from prx.runtime.logging import get_logger
from prx.runtime.tasks import Tasks
from prx.runtime.tools import ToolRouter

_EVENTS: Final[Mapping[str, ServerEvent]] = {
    TOOLS_CHANGED: ToolsListChanged(),
    PROMPTS_CHANGED: PromptsListChanged(),
    RESOURCES_CHANGED: ResourcesListChanged(),
}
_NO_LIMIT: Final = 1 << 40
_RETRY_MS: Final = 1000
_LAST_WORDS_SECS: Final = 2.0
_MAX_OPEN: Final = 1024
_MAX_OPEN_OF_SESSION: Final = 64

_log = get_logger("mcp::server")


class Life:
    """What is there from one start to the next stop: the SDK's session manager cannot be used again."""

    def __init__(
        self,
        router: ToolRouter,
        upstreams: Upstreams | None,
        quick_secs: float,
        sessions: Callable[..., Sessions],
    ) -> None:
        """Serve what there is; `sessions` makes `Sessions` of what has the SDK forget one."""
        self._stopping = Stopping()
        calls = Calls(router, self._stopping)
        self._router = router
        self._upstreams = upstreams
        self._news = News()
        self.passing = None if upstreams is None else Passing(upstreams, self._news)
        self._tasks = Tasks(_log, lambda: None)
        self._server = PrxServer(router, calls, self.passing, self._stopping)
        self._events = Events()
        self._sessions = sessions(self._end_session)
        self._lean = LeanPath(calls, self._server.server_info_stamp, quick_secs)
        self._open: dict[asyncio.Task[None], Exchange] = {}
        self.manager = StreamableHTTPSessionManager(
            self._server,
            self._events,
            retry_interval=_RETRY_MS,
            # Bounded by `Sessions` and by the edge.
            session_idle_timeout=None,
            max_sessions=None,
            max_request_body_size=_NO_LIMIT,
        )

    def hearing(self) -> AbstractContextManager[None]:
        """Take what MCP servers tell for the length of the block."""
        if self._upstreams is None or self.passing is None:
            return nullcontext()
        return self._upstreams.noticing(self.passing.notice)

    async def serve(self, exchange: Exchange) -> web.StreamResponse:
        """See `Host.serve`."""
        session = self._sessions.get(exchange.headers.get(MCP_SESSION_ID_HEADER), exchange.caller)
        self._check_room(session)
        call = self._lean.read(exchange, session)
        if call is not None and (answer := await self._lean.answer(call, exchange)) is not None:
            return answer
        if not _opens_session(exchange):
            return await self._through_sdk(exchange, session)
        session = await self._sessions.open(exchange.caller)
        exchange.on_start = partial(self._opened, session)
        try:
            return await self._through_sdk(exchange, session)
        finally:
            if session.id is None:
                self._sessions.forget(session)

    async def watch_tools(self) -> None:
        """Take changes of the tools as news."""
        changes = self._router.changes
        number = changes.number
        while True:
            number = await changes.after(number)
            self._news.changed(TOOLS_CHANGED)

    async def tell_news(self) -> None:
        """Tell clients of both eras what they may and want to know."""
        while True:
            batch = await self._news.next()
            for event in (
                *map(_EVENTS.__getitem__, sorted(batch.lists)),
                *map(ResourceUpdated, batch.updated),
            ):
                await self._server.bus.publish(event)
            for session in self._sessions:
                if session.caller.may_list:
                    _tell(session, batch)

    async def hold_forever(self, passing: Passing) -> None:
        """Ask servers that may have come back anew; one that does not answer holds up nothing else."""
        while True:
            await passing.came_back.wait()
            passing.came_back.clear()
            await passing.hold_again()

    async def sweep_forever(self, every_secs: float) -> None:
        """End sessions and streams that are not to go on."""
        while True:
            await asyncio.sleep(every_secs)
            await self._sessions.sweep()
            for exchange in self._open.values():
                if not exchange.caller.still_admitted():
                    exchange.leave()

    def end_streams(self) -> None:
        """See `Host.end_streams`."""
        self._server.listening.close()
        for exchange in self._open.values():
            if exchange.is_stream:
                exchange.leave()

    def end_calls(self) -> None:
        """See `Host.end_calls`."""
        self._stopping.stop()

    async def aclose(self) -> None:
        """End everything that is open, in bounded time."""
        await self._lean.aclose()
        await self._server.rounds.aclose()
        for exchange in self._open.values():
            exchange.leave()
        for session in self._sessions:
            await session.aclose()
        tasks = set(self._open)
        for pause in (_LAST_WORDS_SECS, None):
            if tasks:
                await asyncio.wait(tasks, timeout=pause)
            for task in tasks:
                task.cancel()
        await self._tasks.aclose()

    def _check_room(self, session: Session | None) -> None:
        number = len(self._open) + len(self._lean)
        own = 0 if session is None else session.open + len(session.calls)
        if number >= _MAX_OPEN or own >= _MAX_OPEN_OF_SESSION:
            raise UnavailableError(
                f"{number} MCP requests are open, {own} of them in this session: try again later"
            )

    async def _through_sdk(self, exchange: Exchange, session: Session | None) -> web.StreamResponse:
        context = copy_context()
        context.run(SESSION.set, session)
        task = asyncio.create_task(self._application(exchange), name="mcp request", context=context)
        self._open[task] = exchange
        task.add_done_callback(self._closed)
        if session is None:
            return await exchange.answered(task)
        if exchange.is_stream:
            exchange.on_start = partial(_listens, session)
        session.open += 1
        try:
            return await exchange.answered(task)
        finally:
            session.open -= 1
            if exchange.is_stream and exchange.status == HTTPStatus.OK:
                session.listening -= 1
            self._sessions.touch(session)
            if exchange.status == HTTPStatus.NOT_FOUND or (
                exchange.request.method == hdrs.METH_DELETE and exchange.status == HTTPStatus.OK
            ):
                self._sessions.forget(session)
                await self._clean_up(session)

    async def _application(self, exchange: Exchange) -> None:
        scope = exchange.scope() | {"user": _user(exchange.caller.token_id)}
        await self.manager.handle_request(scope, exchange.receive, exchange.send)

    def _opened(self, session: Session, exchange: Exchange) -> None:
        session_id = exchange.answer_headers.get(MCP_SESSION_ID_HEADER)
        if session_id is not None and exchange.status < HTTPStatus.BAD_REQUEST:
            self._sessions.establish(session, session_id)

    def _closed(self, task: asyncio.Task[None]) -> None:
        exchange = self._open.pop(task)
        if exchange.call is not None:
            exchange.call.cancel()  # the SDK did not come to ask for it
        # One that failed before it answered is told by its handler.
        if not task.cancelled() and (error := task.exception()) is not None and exchange.status:
            _log.error("request failed", request_id=exchange.caller.request_id, exc_info=error)

    async def _end_session(self, session: Session) -> None:
        """End a session as its client would."""
        await self._clean_up(session)
        assert session.id is not None  # noqa: S101 - tells the type; only established ones are ended
        scope = {
            "type": "http",
            "method": hdrs.METH_DELETE,
            "path": "/mcp",
            "query_string": b"",
            "headers": [(MCP_SESSION_ID_HEADER.encode(), session.id.encode())],
            "user": _user(session.caller.token_id),
        }
        await self.manager.handle_request(scope, _no_body, _to_nobody)

    async def _clean_up(self, session: Session) -> None:
        """Drop what is kept for a session that is over."""
        self._events.forget(session)
        await session.aclose()
        if self.passing is None:
            return
        # A server that does not answer holds up nobody.
        if session.subscribed:
            self._tasks.start(self.passing.release_all(session.subscribed))
        if session.level is not None:
            level, session.level = session.asked_level, None
            self._tasks.start(self.passing.change_level(level, None))


def _opens_session(exchange: Exchange) -> bool:
    """Tell whether the SDK would make a session for a request."""
    headers = exchange.headers
    return MCP_SESSION_ID_HEADER not in headers and (
        headers.get(MCP_PROTOCOL_VERSION_HEADER) in (None, *HANDSHAKE_PROTOCOL_VERSIONS)
    )


def _user(token_id: str) -> AuthenticatedUser:
    """Return whom the SDK compares with the one who opened a session."""
    return AuthenticatedUser(AccessToken(token="", client_id=token_id, scopes=[]))


def _listens(session: Session, exchange: Exchange) -> None:
    """Count a stream that a session opened, and tell it what it missed while it had none."""
    if exchange.status == HTTPStatus.OK:
        session.listening += 1
        session.heard_again()


def _tell(session: Session, batch: Batch) -> None:
    for method in sorted(batch.lists):
        session.tell(method)
    for uri in batch.updated:
        if uri in session.subscribed:
            session.tell(RESOURCE_UPDATED, {"uri": uri})
    if session.level is not None:
        least = LEVELS.index(session.level)
        for line in batch.lines:
            if LEVELS.index(line["level"]) >= least:
                session.tell(LOGGED, line)


async def _no_body() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _to_nobody(_message: Any) -> None:
    pass
