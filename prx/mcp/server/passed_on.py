"""The requests of MCP beside tools, in terms of the SDK: each is checked against the token, and passed on."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final

from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    CompleteRequestParams,
    GetPromptRequestParams,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    SetLevelRequestParams,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from prx.core.errors import PrxError, UnavailableError
from prx.core.upstream import Ask, ItemKind, Progress, UpstreamError
from prx.mcp.server.caller import CALL
from prx.mcp.server.context import Context, exchange_of
from prx.mcp.server.events import SESSION
from prx.mcp.server.passing import Passing
from prx.mcp.server.rounds import OF_A_ROUND, Rounds
from prx.mcp.server.sessions import Session
from prx.mcp.server.stopping import Stopping

Answer = dict[str, Any]
Listen = Callable[[Context, SubscriptionsListenRequestParams], Awaitable[SubscriptionsListenResult]]

_LISTS: Final[Mapping[str, ItemKind]] = {
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
_MAX_SUBSCRIBED: Final = 256
_COMPLETE: Final = {"resultType": "complete"}
# Another token may see another list, and nobody told how long a server's resource stays as it is.
_UNCACHED: Final = {"ttlMs": 0, "cacheScope": "private"}
_OWN_META: Final = "io.modelcontextprotocol/"


class PassedOn:
    """The handlers."""

    def __init__(self, passing: Passing, rounds: Rounds, stopping: Stopping) -> None:
        """Pass on to `passing`, by way of `rounds` what servers may ask for, until `stopping` gives up what waits."""
        self._passing = passing
        self._rounds = rounds
        self._stopping = stopping

    def add_to(self, server: Server[Any]) -> None:
        """Have `server` use them."""
        for method, kind in _LISTS.items():
            server.add_request_handler(method, PaginatedRequestParams, self._list(kind))
        server.add_request_handler("prompts/get", GetPromptRequestParams, self._get_prompt)
        server.add_request_handler("resources/read", ReadResourceRequestParams, self._read)
        server.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)
        server.add_request_handler("completion/complete", CompleteRequestParams, self._complete)
        server.add_request_handler("logging/setLevel", SetLevelRequestParams, self._set_level)

    def holding(self, listen: Listen) -> Listen:
        """Return what does as `listen`, and has servers tell of the resources that are listened to."""

        async def handle(
            context: Context, params: SubscriptionsListenRequestParams
        ) -> SubscriptionsListenResult:
            uris = set(params.notifications.resource_subscriptions or ())
            async with AsyncExitStack() as held:
                if uris:
                    with _errors_passed_on():
                        _check_may_call(context)
                        _check_few(uris)
                        for uri in uris:
                            await self._passing.hold(uri)
                            held.push_async_callback(self._passing.release, uri)
                return await listen(context, params)

        return handle

    def _list(self, kind: ItemKind) -> Callable[[Context, PaginatedRequestParams], Awaitable[Answer]]:
        async def listed(context: Context, _params: PaginatedRequestParams) -> Answer:
            items = await self._passing.items(kind) if exchange_of(context).caller.may_list else []
            return {**_COMPLETE, **_UNCACHED, kind: items}

        return listed

    async def _get_prompt(self, context: Context, _params: GetPromptRequestParams) -> Answer:
        with _errors_passed_on():
            _check_may_call(context)
            return await self._rounds.run(
                context, lambda ask, progress: self._got(_passed_on(context), progress, ask)
            )

    async def _read(self, context: Context, _params: ReadResourceRequestParams) -> Answer:
        with _errors_passed_on():
            _check_may_call(context)
            return await self._rounds.run(
                context, lambda ask, progress: self._read_for(_passed_on(context), progress, ask)
            )

    async def _got(self, params: Mapping[str, Any], progress: Progress | None, ask: Ask) -> Answer:
        return _COMPLETE | await self._stopping.wait(self._passing.get_prompt(params, progress, ask))

    async def _read_for(self, params: Mapping[str, Any], progress: Progress | None, ask: Ask) -> Answer:
        found = await self._stopping.wait(self._passing.read_resource(params, progress, ask))
        return {**_COMPLETE, **_UNCACHED, **found}

    async def _complete(self, context: Context, _params: CompleteRequestParams) -> Answer:
        with _errors_passed_on():
            _check_may_call(context)
            return _COMPLETE | await self._stopping.wait(self._passing.complete(_passed_on(context)))

    async def _subscribe(self, context: Context, params: SubscribeRequestParams) -> Answer:
        session = _session()
        with _errors_passed_on():
            _check_may_call(context)
            if params.uri not in session.subscribed:
                _check_few({*session.subscribed, params.uri})
                # Noted first: a session that ends meanwhile lets go of it.
                session.subscribed.add(params.uri)
                try:
                    await self._passing.hold(params.uri)
                except PrxError:
                    session.subscribed.discard(params.uri)
                    raise
        return {}

    async def _unsubscribe(self, _context: Context, params: UnsubscribeRequestParams) -> Answer:
        session = _session()
        if params.uri in session.subscribed:
            session.subscribed.discard(params.uri)
            await self._passing.release(params.uri)
        return {}

    async def _set_level(self, _context: Context, params: SetLevelRequestParams) -> Answer:
        session = _session()
        before, session.level = session.asked_level, params.level
        await self._passing.change_level(before, session.asked_level)
        return {}


def _session() -> Session:
    session = SESSION.get()
    assert session is not None  # noqa: S101 - tells the type; these methods exist in sessions only
    return session


def _passed_on(context: Context) -> dict[str, Any]:
    """Return the request's parameters as they came, without what belongs to this connection."""
    given = context.params or {}
    params = {key: value for key, value in given.items() if key not in OF_A_ROUND}
    meta = {
        key: value
        for key, value in (given.get("_meta") or {}).items()
        if key != "progressToken" and not key.startswith(_OWN_META)
    }
    return params | ({"_meta": meta} if meta else {})


def _check_may_call(context: Context) -> None:
    caller = exchange_of(context).caller
    if not caller.may_call:
        raise caller.lacks(CALL)


def _check_few(uris: set[str]) -> None:
    if len(uris) > _MAX_SUBSCRIBED:
        raise UnavailableError(f"More than {_MAX_SUBSCRIBED} resources are subscribed to")


@contextmanager
def _errors_passed_on() -> Iterator[None]:
    try:
        yield
    except UpstreamError as error:
        raise MCPError(error.number, error.message, error.data) from None
    except UnavailableError as error:
        raise MCPError(INTERNAL_ERROR, error.message) from None
    except PrxError as error:
        raise MCPError(INVALID_REQUEST, error.message, error.details) from None
