"""Prompts, resources, completion and logging of the MCP servers that the daemon is connected to, for its own clients.

Prompts have names with the server's prefix, as tools do; resources have their own URIs, and the first server that
knows one gives it. A server that fails hides nothing of the others: lists leave it out.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from prx.core.errors import PrxError, UnavailableError
from prx.core.upstream import CONNECTED, Ask, ItemKind, Progress, Upstream, UpstreamError, Upstreams
from prx.mcp.server.news import LOGGED, PROMPTS_CHANGED, RESOURCE_UPDATED, RESOURCES_CHANGED, News
from prx.runtime.logging import get_logger

INVALID_PARAMS: Final = -32602
LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_VARIABLE: Final = re.compile(r"\{[^{}]*\}")
_MAX_SUBSCRIPTIONS: Final = 4096
_PATIENCE_SECS: Final = 5.0

_log = get_logger("mcp::server")


class Passing:
    """Passes requests on, and what servers tell unasked."""

    def __init__(self, upstreams: Upstreams, news: News) -> None:
        """Pass to `upstreams`; what they tell goes to `news`."""
        self._upstreams = upstreams
        self._news = news
        self._held: dict[str, int] = {}
        """How many clients want to hear of each resource."""
        self._levels: Counter[str] = Counter()
        """How many clients want to hear of servers' logs from each level on."""
        self.came_back = asyncio.Event()
        """Set when a server may have forgotten what it was asked."""

    def notice(self, server: str, method: str, params: Mapping[str, Any]) -> None:
        """Take what a server told; see `Notice`."""
        if method in (CONNECTED, RESOURCES_CHANGED):
            self.came_back.set()
        if method in (PROMPTS_CHANGED, RESOURCES_CHANGED):
            self._news.changed(method)
        elif method == RESOURCE_UPDATED and isinstance(uri := params.get("uri"), str):
            self._news.updated(uri)
        elif method == LOGGED and params.get("level") in LEVELS:
            name = params.get("logger")
            shown = server if not isinstance(name, str) else f"{server}.{name}"
            self._news.logged({"data": None, **params, "logger": shown})

    async def items(self, kind: ItemKind) -> list[dict[str, Any]]:
        """Return what all servers list of `kind`; of two with the same name or URI the first server's."""
        found: dict[str, dict[str, Any]] = {}
        key = {"prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate"}[kind]
        for upstream, items in await self._listed(kind):
            for item in items:
                if isinstance(own := item.get(key), str):
                    shown = upstream.shown_name(own) if kind == "prompts" else own
                    found.setdefault(shown, {**item, key: shown})
        return list(found.values())

    async def get_prompt(
        self, params: Mapping[str, Any], progress: Progress | None, ask: Ask
    ) -> dict[str, Any]:
        """Return what a server makes of its prompt; it may `ask` who wants it.

        Raises:
            UpstreamError: no server has it, or the server's own error.
            UnavailableError: the server does not answer.
        """
        upstream, own = await self._prompt(params["name"])
        return await upstream.request("prompts/get", {**params, "name": own}, progress, ask)

    async def read_resource(
        self, params: Mapping[str, Any], progress: Progress | None, ask: Ask
    ) -> dict[str, Any]:
        """Return a resource's content; see `get_prompt`."""
        upstream = await self._resource(params["uri"])
        return await upstream.request("resources/read", params, progress, ask)

    async def complete(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an argument could be; raises as `get_prompt`."""
        about = params["ref"]
        if about["type"] == "ref/prompt":
            upstream, own = await self._prompt(about["name"])
            params = {**params, "ref": {**about, "name": own}}
        else:
            upstream = await self._resource(about["uri"])
        if "completions" not in upstream.capabilities:
            return {"completion": {"values": []}}
        return await upstream.request("completion/complete", params)

    async def hold(self, uri: str) -> None:
        """Have its server tell when a resource changes; raises as `get_prompt`."""
        if uri not in self._held:
            if len(self._held) >= _MAX_SUBSCRIPTIONS:
                raise UnavailableError(f"{_MAX_SUBSCRIPTIONS} resources are subscribed to already")
            await (await self._resource(uri)).request("resources/subscribe", {"uri": uri})
        self._held[uri] = self._held.get(uri, 0) + 1

    async def release(self, uri: str) -> None:
        """Undo one `hold`."""
        if uri not in self._held:
            return
        self._held[uri] -= 1
        if not self._held[uri]:
            del self._held[uri]
            with suppress(PrxError):  # it has gone, or never minded
                await (await self._resource(uri)).request("resources/unsubscribe", {"uri": uri})

    async def release_all(self, uris: Iterable[str]) -> None:
        """Undo one `hold` of each."""
        for uri in list(uris):
            await self.release(uri)

    async def hold_again(self) -> None:
        """Have servers tell what clients want to hear, after one has come back."""
        await self._ask_for_logs()
        for uri in list(self._held):
            with suppress(PrxError):
                await (await self._resource(uri)).request("resources/subscribe", {"uri": uri})

    async def change_level(self, before: str | None, after: str | None) -> None:
        """Have servers log for a client from the level `after` on instead of `before`; None is not at all."""
        if before is after is None:
            return
        self._levels += Counter([after] if after is not None else [])
        self._levels -= Counter([before] if before is not None else [])
        await self._ask_for_logs()

    async def _ask_for_logs(self) -> None:
        """Have every server that logs tell what the client that wants most wants."""
        if self._levels:
            level = min(self._levels, key=LEVELS.index)
            logging = [each for each in self._upstreams.connected() if "logging" in each.capabilities]
            await asyncio.gather(*(_set_level(each, level) for each in logging))

    async def _listed(self, kind: ItemKind) -> list[tuple[Upstream, Sequence[Mapping[str, Any]]]]:
        upstreams = self._upstreams.connected()
        lists = await asyncio.gather(*(_or_nothing(each, kind) for each in upstreams))
        return list(zip(upstreams, lists, strict=True))

    async def _prompt(self, shown: str) -> tuple[Upstream, str]:
        for upstream, items in await self._listed("prompts"):
            for item in items:
                if isinstance(own := item.get("name"), str) and upstream.shown_name(own) == shown:
                    return upstream, own
        raise UpstreamError(f"Unknown prompt: {shown}", INVALID_PARAMS)

    async def _resource(self, uri: str) -> Upstream:
        """Return the server that lists a resource, or has a template for it, or may know it unlisted."""
        for upstream, items in await self._listed("resources"):
            if any(item.get("uri") == uri for item in items):
                return upstream
        for upstream, items in await self._listed("resourceTemplates"):
            if any(_fits(uri, template) for item in items if (template := item.get("uriTemplate"))):
                return upstream
        having = [each for each in self._upstreams.connected() if "resources" in each.capabilities]
        if len(having) == 1:
            return having[0]
        raise UpstreamError(f"Unknown resource: {uri}", INVALID_PARAMS, {"uri": uri})


async def _set_level(upstream: Upstream, level: str) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_SECS):
            await upstream.request("logging/setLevel", {"level": level})
    except (PrxError, TimeoutError) as error:
        _log.warning("a server's level is not set", server=upstream.name, level=level, reason=_reason(error))


async def _or_nothing(upstream: Upstream, kind: ItemKind) -> Sequence[Mapping[str, Any]]:
    try:
        async with asyncio.timeout(_PATIENCE_SECS):
            return await upstream.items(kind)
    except (PrxError, TimeoutError) as error:
        _log.warning("a server's list is left out", server=upstream.name, list=kind, reason=_reason(error))
        return []


def _reason(error: PrxError | TimeoutError) -> str:
    return error.message if isinstance(error, PrxError) else f"no answer within {_PATIENCE_SECS:g} s"


def _fits(uri: str, template: Any) -> bool:
    """Tell whether `uri` may be made of a URI template; its variables are taken for any text."""
    if not isinstance(template, str):
        return False
    first, *parts = _VARIABLE.split(template)
    if not parts:
        return uri == first
    *middle, last = parts
    # Not one pattern of all: a template of many variables would make matching endless.
    at, end = len(first), len(uri) - len(last)
    if not (uri.startswith(first) and uri.endswith(last) and at <= end):
        return False
    for part in middle:
        found = uri.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
