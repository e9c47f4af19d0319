"""The configuration: what is in effect, where each value comes from, and changing it."""

from dataclasses import asdict
from typing import Any, Final

from aiohttp import hdrs, web
from pydantic import Field, RootModel

from prx.api.answers.config import Origins, PatchOutcome
from prx.api.bodies import reply
from prx.api.contract import Header
from prx.api.deps import LIVE
from prx.api.routes import Routes
from prx.config.inspection import json_schema
from prx.config.schema import Config

routes = Routes()

_ETAG: Final = {"ETag": "Names the configuration that the answer is about."}


class Changes(RootModel[dict[str, Any]]):
    """Dotted keys and their new values; null takes a key back out of the overlay."""

    root: dict[str, Any] = Field(
        min_length=1, examples=[{"agent.max_turns": 100, "memory.top_k": 15}, {"agent.max_turns": None}]
    )


@routes.get("/config", scope="config:read", answer=Config, sends=_ETAG)
async def get_config(request: web.Request) -> web.Response:
    """The effective configuration, secrets masked."""
    live = request.app[LIVE]
    return _tagged(reply(live.shown()), live.etag)


@routes.patch(
    "/config",
    scope="config:write",
    body=Changes,
    headers={"If-Match": Header("Make the change only to the configuration with this `ETag`.")},
    answer=PatchOutcome,
    sends=_ETAG,
    refuses=(403, 409, 412, 503),
)
async def patch_config(request: web.Request, changes: Changes) -> web.Response:
    """Change keys, all or none; what is hot acts before the answer is sent."""
    live = request.app[LIVE]
    outcome, etag = await live.patch(changes.root, if_match=_if_match(request))
    return _tagged(reply(asdict(outcome)), etag)


@routes.get("/config/origins", scope="config:read", answer=Origins, sends=_ETAG)
async def get_origins(request: web.Request) -> web.Response:
    """Every key with its value, and the layer that it comes from."""
    live = request.app[LIVE]
    etag = live.etag  # of what is looked at now
    return _tagged(reply({"keys": await live.origins()}), etag)


@routes.get("/config/schema", scope="config:read", answer=dict[str, Any])
async def get_schema(_request: web.Request) -> web.Response:
    """The JSON Schema of the configuration."""
    return reply(json_schema())


def _if_match(request: web.Request) -> list[str] | None:
    # A weak tag never matches: it says that two configurations are alike, not that they are the same.
    tags = request.if_match
    return None if tags is None else [tag.value for tag in tags if not tag.is_weak]


def _tagged(response: web.Response, etag: str) -> web.Response:
    response.headers[hdrs.ETAG] = f'"{etag}"'
    return response
