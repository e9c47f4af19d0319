"""Plugins: what is installed, and taking it out of and back into service."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Final, get_args

from aiohttp import web
from pydantic import Field, WithJsonSchema

from prx.api.answers.plugins import (
    GenerationList,
    GrantsAnswer,
    PluginDetail,
    PluginEnabled,
    PluginList,
    PluginRow,
    PluginState,
    PluginSteppedBack,
    PluginVersion,
)
from prx.api.bodies import Body, Flag, Parameters, reply
from prx.api.deps import PLUGINS
from prx.api.routes import Routes
from prx.plugins.catalogue import Catalogue, Plugin
from prx.plugins.installer import MAX_UPLOAD_BYTES, Part
from prx.plugins.manifest import Permission

routes = Routes()

_Permission = Annotated[str, WithJsonSchema({"type": "string", "enum": [*get_args(Permission)]})]
_FAILED: Final = frozenset({"error", "quarantined"})


class Decisions(Body):
    """What the operator decides about permissions; those that are not named stay as they are."""

    decisions: dict[_Permission, bool] = Field(min_length=1)


class Step(Body):
    """Which generation to step back to; by default the newest one before the live one."""

    generation: int | None = Field(default=None, ge=1)


class Removal(Parameters):
    """How to remove a plugin."""

    purge: Flag = False
    """Remove what it stored, too."""


@routes.get("/plugins", scope="plugins:read", answer=PluginList)
async def list_plugins(request: web.Request) -> web.Response:
    """Every installed plugin, by name."""
    return reply({"plugins": [_row(plugin) for plugin in request.app[PLUGINS].list()]})


@routes.post(
    "/plugins",
    scope="plugins:admin",
    upload=MAX_UPLOAD_BYTES,
    answer=PluginRow,
    status=(200, 201),
    refuses=(409, 503),
)
async def install_plugin(request: web.Request, parts: AsyncGenerator[Part, None]) -> web.Response:
    """Install a plugin, or replace it by another version; the answer comes when it is loaded."""
    plugin, new = await request.app[PLUGINS].install(parts)
    return reply({**_summary(plugin), **_error(plugin)}, status=201 if new else 200)


@routes.delete("/plugins/{name}", scope="plugins:admin", query=Removal, refuses=(404, 409, 503))
async def remove_plugin(request: web.Request, asked: Removal) -> web.Response:
    """Remove a plugin and all trust in its name; its data only with `purge=true`."""
    await request.app[PLUGINS].remove(request.match_info["name"], purge=asked.purge)
    return web.Response(status=204)


@routes.get("/plugins/{name}", scope="plugins:read", answer=PluginDetail, refuses=(404,))
async def get_plugin(request: web.Request) -> web.Response:
    """One plugin in full."""
    plugin = request.app[PLUGINS].get(request.match_info["name"])
    return reply({**plugin.detail(), **_summary(plugin), **_error(plugin)})


@routes.post("/plugins/{name}/reload", scope="plugins:write", answer=PluginVersion, refuses=(404, 409))
async def reload_plugin(request: web.Request) -> web.Response:
    """Build a new generation beside the old one and swap them, or keep the old one."""
    plugin = await request.app[PLUGINS].reload(request.match_info["name"])
    return reply({"name": plugin.name, "status": plugin.status, "version": plugin.version})


@routes.get("/plugins/{name}/versions", scope="plugins:read", answer=GenerationList, refuses=(404,))
async def list_versions(request: web.Request) -> web.Response:
    """The generations of a plugin that are kept, the newest first."""
    return reply({"versions": request.app[PLUGINS].versions(request.match_info["name"])})


@routes.post(
    "/plugins/{name}/rollback",
    scope="plugins:write",
    body=Step,
    body_required=False,
    answer=PluginSteppedBack,
    refuses=(404, 409, 503),
)
async def roll_back_plugin(request: web.Request, step: Step) -> web.Response:
    """Step back to a kept generation; lasts until the plugin's files change or it is reloaded."""
    plugin = await request.app[PLUGINS].roll_back(request.match_info["name"], step.generation)
    return reply(
        {
            "name": plugin.name,
            "status": plugin.status,
            "version": plugin.version,
            "generation": plugin.number,
        }
    )


@routes.post("/plugins/{name}/disable", scope="plugins:write", answer=PluginState, refuses=(404, 503))
async def disable_plugin(request: web.Request) -> web.Response:
    """Withdraw a plugin without unloading it; idempotent, survives a restart."""
    plugin = await request.app[PLUGINS].disable(request.match_info["name"])
    return reply({"name": plugin.name, "status": plugin.status})


@routes.post("/plugins/{name}/enable", scope="plugins:write", answer=PluginEnabled, refuses=(404, 409, 503))
async def enable_plugin(request: web.Request) -> web.Response:
    """Undo a disable; idempotent. The answer has `error` when the plugin does not load."""
    plugin = await request.app[PLUGINS].enable(request.match_info["name"])
    return reply({"name": plugin.name, "status": plugin.status, "version": plugin.version} | _error(plugin))


@routes.get("/plugins/{name}/grants", scope="plugins:read", answer=GrantsAnswer, refuses=(404,))
async def get_grants(request: web.Request) -> web.Response:
    """What a plugin asks for, may do and was refused."""
    return reply(_grants(request.app[PLUGINS], request.match_info["name"]))


@routes.put(
    "/plugins/{name}/grants", scope="plugins:admin", body=Decisions, answer=GrantsAnswer, refuses=(404, 503)
)
async def put_grants(request: web.Request, body: Decisions) -> web.Response:
    """Grant and revoke permissions, effective at the plugin's next call."""
    plugin = await request.app[PLUGINS].decide(request.match_info["name"], body.decisions)
    return reply(_grants(request.app[PLUGINS], plugin.name))


def _grants(plugins: Catalogue, name: str) -> dict[str, Any]:
    plugin = plugins.get(name)
    return {"status": plugin.status} | plugins.grants_of(name) | _error(plugin)


def _row(plugin: Plugin) -> PluginRow:
    row = _summary(plugin)
    # A plugin that serves has no error in the list, even where its newest version does not load.
    if plugin.error is not None and plugin.status in _FAILED:
        row["error"] = plugin.error
    return row


def _summary(plugin: Plugin) -> PluginRow:
    return {
        "name": plugin.name,
        "version": plugin.version,
        "status": plugin.status,
        "capabilities": plugin.capabilities,
        "memory_usage_bytes": plugin.memory_usage_bytes(),
    }


def _error(plugin: Plugin) -> dict[str, Any]:
    return {} if plugin.error is None else {"error": plugin.error}
