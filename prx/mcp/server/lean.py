"""The short way of `tools/call`: most calls end within milliseconds and need nothing that makes the SDK's way long.

A request that is a plain call and nothing else is judged by the SDK's own functions, run at once, and answered as JSON,
which both eras of streamable HTTP allow. Everything else goes to the SDK: other methods, anything unusual or wrong in
the request, a call that wants to hear of progress, and a call that takes longer than a moment, as it runs.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import hdrs, web
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER, REQUEST_CANCELLED, check_accept_headers
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    X_MCP_HEADER_KEY,
)
from mcp_types import CLIENT_CAPABILITIES_META_KEY, SERVER_INFO_META_KEY
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from prx.core.tool import ToolSpec
from prx.mcp.server.asking import Asking
from prx.mcp.server.calls import Calls
from prx.mcp.server.exchange import Exchange
from prx.mcp.server.plain import METHOD, Envelopes, is_call, shaped
from prx.mcp.server.questions import askable_in
from prx.mcp.server.sessions import Session

_CANCELLED: Final = "notifications/cancelled"
_REQUEST_KEYS: Final = frozenset({"jsonrpc", "id", "method", "params"})
_ROUTING_HEADERS: Final = (MCP_PROTOCOL_VERSION_HEADER, MCP_METHOD_HEADER, MCP_NAME_HEADER)
_MAX_REMEMBERED: Final = 4096
_PARAM_KEYS: Final = frozenset({"name", "arguments", "_meta"})


@dataclass(frozen=True, slots=True)
class Call:
    """One plain call."""

    id: int | str
    name: str
    arguments: Mapping[str, Any]
    version: str
    session: Session | None
    """None in the newest version, which has no sessions."""
    askable: Mapping[str, Any]
    """What the client can be asked; see `Ask`."""


class LeanPath:
    """Answers plain calls."""

    def __init__(self, calls: Calls, server_info: Mapping[str, Any], quick_secs: float) -> None:
        """Leave calls that take longer than `quick_secs` to the SDK; 0 leaves it all of them."""
        self._calls = calls
        self._server_info = server_info
        self._quick_secs = quick_secs
        self._running: set[asyncio.Task[dict[str, Any]]] = set()
        self._envelopes = Envelopes()
        # What is worked out once for many requests: what an `Accept` says, and whether a tool has headers of its own.
        self._accepted: dict[str, bool] = {}
        self._mirrored: dict[str, tuple[ToolSpec, bool]] = {}

    def __len__(self) -> int:
        """Return how many calls run."""
        return len(self._running)

    def read(self, exchange: Exchange, session: Session | None) -> Call | None:
        """Return the plain call that a request is, or None where the SDK has to look at it."""
        request = exchange.request
        if (
            not self._quick_secs
            or request.method != hdrs.METH_POST
            or request.content_type != "application/json"
        ):
            return None
        try:
            body = from_json(exchange.body, allow_inf_nan=False)
        except ValueError:
            return None
        if not isinstance(body, dict):
            return None
        if session is not None and body.get("method") == _CANCELLED:
            _cancel(session, body)
        plain = (
            body.keys() == _REQUEST_KEYS
            and body["jsonrpc"] == "2.0"
            and body["method"] == METHOD
            and type(body["id"]) in (int, str)
            and isinstance(params := body["params"], dict)
            and params.keys() <= _PARAM_KEYS
            and isinstance(params.get("arguments", {}), dict)
            and self._accepts_both(exchange)
        )
        if not plain:
            return None
        if request.headers.get(MCP_PROTOCOL_VERSION_HEADER) in MODERN_PROTOCOL_VERSIONS:
            return self._of_newest(exchange, body)
        return _of_session(exchange, body, session)

    async def answer(self, call: Call, exchange: Exchange) -> web.Response | None:
        """Run `call` and return its answer, or None where it takes longer: the exchange has it then, running."""
        moment = _Moment(self._quick_secs)
        asking = Asking(moment.end, call.askable) if call.askable else None
        running = asyncio.create_task(
            self._calls.run(exchange.caller, call.name, call.arguments, ask=asking), name="mcp call"
        )
        self._running.add(running)
        running.add_done_callback(self._ended)
        calls = {} if call.session is None else call.session.calls
        calls[call.id] = running
        try:
            await moment.wait_for(running)
        except asyncio.CancelledError:
            # In the newest version a client cancels by closing the connection; in older ones that means nothing.
            if call.session is None:
                running.cancel()
            raise
        finally:
            del calls[call.id]
        if running.cancelled():
            return _reply(call, {"error": {"code": REQUEST_CANCELLED, "message": "Request cancelled"}})
        if running.done() and running.exception() is None:
            try:
                return _reply(call, {"result": self._shaped(running.result(), call.version)})
            except (ValidationError, PydanticSerializationError):
                pass  # an MCP server's result that is none: the SDK says so
        exchange.call, exchange.asking = running, asking
        return None

    async def aclose(self) -> None:
        """Cancel the calls that run."""
        for running in self._running:
            running.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def _of_newest(self, exchange: Exchange, body: dict[str, Any]) -> Call | None:
        given = {name: exchange.headers.getall(name, []) for name in _ROUTING_HEADERS}
        if any(len(values) != 1 for values in given.values()):
            return None
        headers = {name: values[0] for name, values in given.items()}
        version = self._envelopes.version_of(exchange.caller.token_id, body, headers, len(exchange.body))
        params = body["params"]
        if version is None or "progressToken" in params["_meta"]:
            return None
        spec = self._calls.spec(params["name"])
        if spec is None or self._mirrors(spec):
            return None
        askable = askable_in(params["_meta"][CLIENT_CAPABILITIES_META_KEY])
        return Call(body["id"], params["name"], params.get("arguments", {}), version, None, askable)

    def _accepts_both(self, exchange: Exchange) -> bool:
        """Tell whether the client takes JSON and streams, as the SDK sees it."""
        accept = exchange.headers.get(hdrs.ACCEPT, "")
        known = self._accepted.get(accept)
        if known is None:
            if len(self._accepted) >= _MAX_REMEMBERED:
                self._accepted.clear()
            # It only looks at `headers`.
            known = self._accepted[accept] = all(check_accept_headers(exchange))  # type: ignore[arg-type]
        return known

    def _mirrors(self, spec: ToolSpec) -> bool:
        """Tell whether arguments of a tool are to be repeated in headers, which the SDK compares."""
        known = self._mirrored.get(spec.name)
        if known is None or known[0] is not spec:
            if len(self._mirrored) >= _MAX_REMEMBERED:
                self._mirrored.clear()
            known = self._mirrored[spec.name] = spec, X_MCP_HEADER_KEY.encode() in to_json(spec.parameters)
        return known[1]

    def _shaped(self, result: Mapping[str, Any], version: str) -> dict[str, Any]:
        found = shaped(result, version)
        if version in MODERN_PROTOCOL_VERSIONS:
            meta = found.get("_meta") or {}
            if meta.get(SERVER_INFO_META_KEY) is None:  # as the SDK does it, behind what is there
                found["_meta"] = {**meta, SERVER_INFO_META_KEY: self._server_info}
        return found

    def _ended(self, running: asyncio.Task[dict[str, Any]]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # where nobody came back for it, nobody need hear of it


class _Moment:
    """How long a call may take here. Does what `asyncio.wait` does, at half its price, and can be ended."""

    def __init__(self, secs: float) -> None:
        self._secs = secs
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self, _: object = None) -> None:
        """End it now."""
        if not self._over.done():
            self._over.set_result(None)

    async def wait_for(self, running: asyncio.Task[Any]) -> None:
        """Wait until the call is over, or the moment is."""
        timer = asyncio.get_running_loop().call_later(self._secs, self.end)
        running.add_done_callback(self.end)
        try:
            await self._over
        finally:
            timer.cancel()
            running.remove_done_callback(self.end)


def _of_session(exchange: Exchange, body: dict[str, Any], session: Session | None) -> Call | None:
    if session is None or session.version is None or body["id"] in session.calls:
        return None
    version = exchange.headers.get(MCP_PROTOCOL_VERSION_HEADER)
    if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
        return None
    if len(exchange.headers.getall(MCP_SESSION_ID_HEADER)) != 1:
        return None
    params = body["params"]
    if "progressToken" in (params.get("_meta") or {}) or not is_call(params, session.version):
        return None
    return Call(
        body["id"], params["name"], params.get("arguments", {}), session.version, session, session.askable
    )


def _cancel(session: Session, body: dict[str, Any]) -> None:
    params = body.get("params")
    asked = params.get("requestId") if isinstance(params, dict) else None
    if isinstance(asked, int | str) and (running := session.calls.get(asked)) is not None:
        running.cancel()


def _reply(call: Call, outcome: dict[str, Any]) -> web.Response:
    headers = (
        {} if call.session is None or call.session.id is None else {MCP_SESSION_ID_HEADER: call.session.id}
    )
    content = to_json({"jsonrpc": "2.0", "id": call.id, **outcome})
    return web.Response(body=content, content_type="application/json", headers=headers)
