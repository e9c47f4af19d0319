"""Hooks: who wants events, and what became of the deliveries."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from prx.api.bodies import WholeNumber, read_body, read_query, reply
from prx.api.deps import WEBHOOKS
from prx.api.routes import Routes
from prx.core.errors import BadRequestError
from prx.webhooks.hook import Delivery, DeliveryState, Hook
from prx.webhooks.registry import MAX_OVERLAP, Wanted
from prx.webhooks.service import Webhooks
from prx.webhooks.signing import new_secret

routes = Routes()

_MAX_EVENTS = 64


class Registration(BaseModel):
    """A hook to register."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str
    """Where events are posted to: http or https."""
    events: list[str] = Field(min_length=1, max_length=_MAX_EVENTS)
    """Which events; `*` is all."""
    secret: str | None = None
    """What deliveries are signed with: `whsec_` and base64. Without one, one is made, and told in this answer alone."""


class HookChange(BaseModel):
    """What is to become of a hook; what is not named stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str | None = None
    events: list[str] | None = Field(default=None, min_length=1, max_length=_MAX_EVENTS)
    active: bool | None = None
    """Whether events are sent; switched on, it goes on with its backlog."""
    secret: str | None = None
    """What deliveries are signed with from now on."""
    rotate_secret: Literal[True] | None = None
    """Have a new secret made, and told in this answer alone."""
    overlap_secs: int = Field(default=86400, ge=0, le=int(MAX_OVERLAP.total_seconds()))
    """How long deliveries are signed with the secret before, too."""


class DeliveryParameters(BaseModel):
    """What `GET /hooks/:id/deliveries` may be asked."""

    state: DeliveryState | None = None
    limit: Annotated[WholeNumber, Field(ge=1, le=500)] = 50
    offset: WholeNumber = 0


@routes.get("/hooks", scope="hooks:read")
async def list_hooks(request: web.Request) -> web.Response:
    """Every hook, in the order of registration."""
    return reply({"hooks": [_row(hook) for hook in request.app[WEBHOOKS].registry.all()]})


@routes.post("/hooks", scope="hooks:write")
async def register_hook(request: web.Request) -> web.Response:
    """Register a hook; a secret that was not given is told here, and never again."""
    body = await read_body(request, Registration)
    hook, made = await request.app[WEBHOOKS].registry.register(body.url, body.events, body.secret)
    return reply(_row(hook) | ({} if made is None else {"secret": made}), status=201)


@routes.get("/hooks/{id}", scope="hooks:read")
async def get_hook(request: web.Request) -> web.Response:
    """One hook in full."""
    return reply(await _detail(request.app[WEBHOOKS], _hook(request)))


@routes.patch("/hooks/{id}", scope="hooks:write")
async def change_hook(request: web.Request) -> web.Response:
    """Change a hook; one of the configuration is changed there."""
    body = await read_body(request, HookChange)
    if body.secret is not None and body.rotate_secret:
        raise BadRequestError("Give a secret or have one made with rotate_secret, not both")
    made = new_secret() if body.rotate_secret else None
    wanted = Wanted(
        url=body.url,
        events=body.events,
        active=body.active,
        secret=made or body.secret,
        overlap=timedelta(seconds=body.overlap_secs),
    )
    if wanted == Wanted(overlap=wanted.overlap):
        raise BadRequestError("Nothing is to be changed: give url, events, active, secret or rotate_secret")
    webhooks = request.app[WEBHOOKS]
    hook = await webhooks.registry.change(request.match_info["id"], wanted)
    return reply(await _detail(webhooks, hook) | ({} if made is None else {"secret": made}))


@routes.delete("/hooks/{id}", scope="hooks:write")
async def remove_hook(request: web.Request) -> web.Response:
    """Remove a hook, and what it was still to get."""
    await request.app[WEBHOOKS].registry.remove(request.match_info["id"])
    return web.Response(status=204)


@routes.post("/hooks/{id}/test", scope="hooks:write")
async def test_hook(request: web.Request) -> web.Response:
    """Send a hook an event of its own, once; the answer says what became of it."""
    return reply(_delivery(await request.app[WEBHOOKS].dispatcher.test(_hook(request))))


@routes.get("/hooks/{id}/deliveries", scope="hooks:read")
async def list_deliveries(request: web.Request) -> web.Response:
    """What became of the events that a hook wanted, the newest first."""
    asked = read_query(request, DeliveryParameters)
    found, total = await request.app[WEBHOOKS].deliveries(
        _hook(request), asked.state, limit=asked.limit, offset=asked.offset
    )
    return reply({"deliveries": [_delivery(delivery) for delivery in found], "total": total})


@routes.post("/hooks/{id}/deliveries/{delivery}/retry", scope="hooks:write")
async def retry_delivery(request: web.Request) -> web.Response:
    """Deliver an event again, whatever became of it; answers at once."""
    delivery = await request.app[WEBHOOKS].dispatcher.retry(_hook(request), request.match_info["delivery"])
    return reply(_delivery(delivery))


def _hook(request: web.Request) -> Hook:
    return request.app[WEBHOOKS].registry.get(request.match_info["id"])


def _row(hook: Hook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "url": hook.url,
        "events": hook.events,
        "active": hook.active,
        "created_at": hook.created_at,
    }


async def _detail(webhooks: Webhooks, hook: Hook) -> dict[str, Any]:
    detail = _row(hook) | {
        "origin": hook.origin,
        "pending": await webhooks.pending(hook),
        "lost": hook.lost,
    }
    return detail | _present(error=hook.reason, inactive_since=hook.since)


def _delivery(delivery: Delivery) -> dict[str, Any]:
    shown = delivery._asdict()
    always = {name: shown.pop(name) for name in ("id", "event", "created_at", "state", "attempts")}
    return always | _present(**shown)


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
