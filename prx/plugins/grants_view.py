"""A plugin's grants for people: what it asks for, what of that is granted, what waits, and what was refused."""

from typing import Any

from prx.config.schema import PluginsConfig
from prx.core.ids import iso_utc
from prx.plugins.asked import LISTED, NOTHING_ASKED
from prx.plugins.grants import Denial, Grants
from prx.plugins.plugin import Plugin
from prx.plugins.settings import settings_for


def grants_shown(plugin: Plugin, grants: Grants, config: PluginsConfig) -> dict[str, Any]:
    """Return what `GET /plugins/:name/grants` shows: its newest files ask, its running generation has."""
    asked = plugin.asked if plugin.asked is not None else NOTHING_ASKED
    decisions = grants.decisions(plugin.name)
    settings = settings_for(plugin.name, plugin.manifest, asked, config, decisions)
    has = plugin.loaded.generation.owner.permissions if plugin.loaded is not None else frozenset[str]()
    return {
        "name": plugin.name,
        "required": list(asked.required),
        "optional": list(asked.optional),
        "granted": sorted(has),
        "covered": {name: list(entries) for name in LISTED if (entries := settings.entries.named(name))},
        "waiting": {name: list(entries) for name, entries in settings.waiting.items()},
        "allow_with": f"prx plugin grant {plugin.name} {' '.join(settings.waiting)}"
        if settings.waiting
        else None,
        "decisions": {permission: decision.allowed for permission, decision in decisions.items()},
        "denials": [_denial(plugin.name, denial) for denial in grants.ledger(plugin.name).denials()],
    }


def _denial(plugin: str, denial: Denial) -> dict[str, Any]:
    return {
        "permission": denial.permission,
        "operation": denial.operation,
        "count": denial.count,
        "first": iso_utc(denial.first),
        "last": iso_utc(denial.last),
        "allow_with": denial.allow_with or f"prx plugin grant {plugin} {denial.permission}",
    }
