"""Hooks: who wants events, and what became of the deliveries."""

from datetime import timedelta
from typing import Annotated, Final, Literal, cast

from aiohttp import web
from pydantic import Field, WithJsonSchema

from prx.api.answers.hooks import (
    ChangedHook,
    DeliveryList,
    DeliveryReport,
    HookDetail,
    HookList,
    ListedHook,
    RegisteredHook,
)
from prx.api.bodies import Body, PageLimit, Parameters, WholeNumber, reply
from prx.api.deps import WEBHOOKS
from prx.api.routes import Routes
from prx.core.errors import BadRequestError
from prx.core.webhook import ALIASES, ALL, EVENTS
from prx.webhooks.hook import Delivery, DeliveryState, Hook
from prx.webhooks.registry import MAX_OVERLAP, Wanted
from prx.webhooks.service import Webhooks
from prx.webhooks.signing import new_secret

routes = Routes()

_MAX_EVENTS: Final = 64
_EventName = Annotated[str, WithJsonSchema({"type": "string", "enum": [*EVENTS, *ALIASES, ALL]})]


class Registration(Body):
    """A hook to register."""

    url: str
    """Where events are posted to: http or https."""
    events: list[_EventName] = Field(min_length=1, max_length=_MAX_EVENTS)
    """Which events; `*` is all."""
    secret: str | None = None
    """What deliveries are signed with: `whsec_` and base64. Without one, one is made, and told in this answer alone."""


class HookChange(Body):
    """What is to become of a hook; what is not named stays as it is."""

    url: str | None = None
    events: list[_EventName] | None = Field(default=None, min_length=1, max_length=_MAX_EVENTS)
    active: bool | None = None
    """Whether events are sent; switched on, it goes on with its backlog."""
    secret: str | None = None
    """What deliveries are signed with from now on."""
    rotate_secret: Literal[True] | None = None
    """Have a new secret made, and told in this answer alone."""
    overlap_secs: int = Field(default=86400, ge=0, le=int(MAX_OVERLAP.total_seconds()))
    """How long deliveries are signed with the secret before, too."""


class DeliveryFilter(Parameters):
    """Which deliveries to list."""

    state: DeliveryState | None = None
    limit: PageLimit = 50
    offset: WholeNumber = 0
    """How many of the newest to leave out."""


@routes.get("/hooks", scope="hooks:read", answer=HookList)
async def list_hooks(request: web.Request) -> web.Response:
    """Every hook, in the order of registration."""
    found: HookList = {"hooks": [_row(hook) for hook in request.app[WEBHOOKS].registry.all()]}
    return reply(found)


@routes.post(
    "/hooks", scope="hooks:write", body=Registration, answer=RegisteredHook, status=201, refuses=(409, 503)
)
async def register_hook(request: web.Request, body: Registration) -> web.Response:
    """Register a hook; a secret that was not given is told here, and never again."""
    hook, made = await request.app[WEBHOOKS].registry.register(body.url, body.events, body.secret)
    registered = cast("RegisteredHook", _row(hook))
    if made is not None:
        registered["secret"] = made
    return reply(registered, status=201)


@routes.get("/hooks/{id}", scope="hooks:read", answer=HookDetail, refuses=(404, 503))
async def get_hook(request: web.Request) -> web.Response:
    """One hook in full."""
    return reply(await _detail(request.app[WEBHOOKS], _hook(request)))


@routes.patch(
    "/hooks/{id}", scope="hooks:write", body=HookChange, answer=ChangedHook, refuses=(404, 409, 503)
)
async def change_hook(request: web.Request, body: HookChange) -> web.Response:
    """Change a hook; one of the configuration is changed there."""
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
    changed = cast("ChangedHook", await _detail(webhooks, hook))
    if made is not None:
        changed["secret"] = made
    return reply(changed)


@routes.delete("/hooks/{id}", scope="hooks:write", refuses=(404, 409, 503))
async def remove_hook(request: web.Request) -> web.Response:
    """Remove a hook, and what it was still to get."""
    await request.app[WEBHOOKS].registry.remove(request.match_info["id"])
    return web.Response(status=204)


@routes.post("/hooks/{id}/test", scope="hooks:write", answer=DeliveryReport, refuses=(404, 409, 503))
async def test_hook(request: web.Request) -> web.Response:
    """Send a hook an event of its own, once; the answer says what became of it."""
    return reply(_report(await request.app[WEBHOOKS].dispatcher.test(_hook(request))))


@routes.get(
    "/hooks/{id}/deliveries",
    scope="hooks:read",
    query=DeliveryFilter,
    answer=DeliveryList,
    refuses=(404, 503),
)
async def list_deliveries(request: web.Request, asked: DeliveryFilter) -> web.Response:
    """What became of the events that a hook wanted, the newest first."""
    found, total = await request.app[WEBHOOKS].deliveries(
        _hook(request), asked.state, limit=asked.limit, offset=asked.offset
    )
    page: DeliveryList = {"deliveries": [_report(delivery) for delivery in found], "total": total}
    return reply(page)


@routes.post(
    "/hooks/{id}/deliveries/{delivery}/retry",
    scope="hooks:write",
    answer=DeliveryReport,
    refuses=(404, 409, 503),
)
async def retry_delivery(request: web.Request) -> web.Response:
    """Deliver an event again, whatever became of it; answers at once."""
    delivery = await request.app[WEBHOOKS].dispatcher.retry(_hook(request), request.match_info["delivery"])
    return reply(_report(delivery))


def _hook(request: web.Request) -> Hook:
    return request.app[WEBHOOKS].registry.get(request.match_info["id"])


def _row(hook: Hook) -> ListedHook:
    return {
        "id": hook.id,
        "url": hook.url,
        "events": list(hook.events),
        "active": hook.active,
        "created_at": hook.created_at,
    }


async def _detail(webhooks: Webhooks, hook: Hook) -> HookDetail:
    detail = cast("HookDetail", _row(hook))
    detail["origin"] = hook.origin
    detail["pending"] = await webhooks.pending(hook)
    detail["lost"] = hook.lost
    if hook.reason is not None and hook.since is not None:
        detail["error"], detail["inactive_since"] = hook.reason, hook.since
    return detail


def _report(delivery: Delivery) -> DeliveryReport:
    report: DeliveryReport = {
        "id": delivery.id,
        "event": delivery.event,
        "created_at": delivery.created_at,
        "state": delivery.state,
        "attempts": delivery.attempts,
    }
    if delivery.last_attempt_at is not None and delivery.latency_ms is not None:
        report["last_attempt_at"], report["latency_ms"] = delivery.last_attempt_at, delivery.latency_ms
    if delivery.status is not None:
        report["status"] = delivery.status
    if delivery.error is not None:
        report["error"] = delivery.error
    if delivery.excerpt is not None:
        report["excerpt"] = delivery.excerpt
    if delivery.next_try_at is not None:
        report["next_try_at"] = delivery.next_try_at
    return report
