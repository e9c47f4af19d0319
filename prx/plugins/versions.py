"""The kept generations of a plugin, as operators see them."""

from typing import Any

from prx.core.ids import iso_utc
from prx.plugins.generations import Generations
from prx.plugins.kept import Kept
from prx.plugins.plugin import Plugin


def versions_shown(plugin: Plugin, generations: Generations) -> list[dict[str, Any]]:
    """Return what `GET /plugins/:name/versions` shows."""
    return [_version(kept, plugin) for kept in generations.of(plugin.name)]


def _version(kept: Kept, plugin: Plugin) -> dict[str, Any]:
    running = plugin.loaded if kept.number == plugin.number else None
    shown: dict[str, Any] = {
        "generation": kept.number,
        "version": kept.version,
        "digest": f"sha256:{kept.digest}",
        "loaded_at": iso_utc(kept.loaded_at),
        "status": "rolled_back" if kept.state == "rolled_back" else "kept",
    }
    calls, failures = kept.calls, kept.failures
    if running is not None:
        shown["status"] = "live"
        totals = running.generation.meter.totals()
        calls, failures = totals.calls + (calls or 0), totals.failures + (failures or 0)
    if kept.reason is not None:
        shown["reason"] = kept.reason
    return shown if calls is None else shown | {"calls": calls, "failures": failures}
