"""What one plugin gets: its manifest, the operator's settings and the daemon's defaults, merged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from prx.config.schema import PluginLimits, PluginsConfig, PluginSettings
from prx.plugins.asked import LISTED, NOTHING, Asked, Entries
from prx.plugins.calls import Limits
from prx.plugins.manifest import Manifest, Resources
from prx.plugins.surroundings import Surroundings, values_of

ALWAYS_GRANTED = ("log", "config", "clock")
_MAX_NAMED = 5
_KIB, _MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Decision:
    """What the operator decided about one permission of one plugin."""

    allowed: bool
    covers: tuple[str, ...] | None = None
    """The entries of the manifest's list that were asked for then; `None` covers whatever is asked for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The outcome, fixed for one generation."""

    limits: Limits
    permissions: frozenset[str]
    entries: Entries
    """What the manifest lists and the grants cover."""
    waiting: Mapping[str, tuple[str, ...]]
    """Permissions that are asked for and not granted in full, with the entries that no grant covers."""
    missing: tuple[str, ...]
    """Those of them that the plugin must not run without."""
    config: Mapping[str, str]
    """As it is written: `secret:` and `env:` are not resolved."""
    readable_env: frozenset[str]
    """Variables of the daemon's environment that `config` may name."""
    tool_prefix: str


def settings_for(
    name: str,
    manifest: Manifest | None,
    asked: Asked,
    config: PluginsConfig,
    decisions: Mapping[str, Decision],
) -> Settings:
    """Merge what is known about the plugin `name`; the operator's settings win, then its manifest.

    `asked` is what `manifest` asks for. `decisions` are the operator's grants and revocations; where there is none,
    `plugins.auto_grant` decides, and covers everything.
    """
    operator = config.settings.get(name, PluginSettings())
    whole = Decision(allowed=True)
    decided = dict.fromkeys(config.auto_grant, whole) | dict(decisions) | dict.fromkeys(ALWAYS_GRANTED, whole)
    granted = {permission: decision.covers for permission, decision in decided.items() if decision.allowed}
    permissions = frozenset(ALWAYS_GRANTED) | (granted.keys() & asked.permissions)
    entries = reduce(
        or_, (asked.entries.covered(name, granted[name]) for name in LISTED if name in permissions), NOTHING
    )
    uncovered = {
        name: _uncovered(asked.entries.named(name), entries.named(name))
        for name in (*asked.required, *asked.optional)
    }
    waiting = {name: left for name, left in uncovered.items() if left or name not in permissions}
    readable = {value.removeprefix("env:") for value in operator.config.values() if value.startswith("env:")}
    return Settings(
        limits=_limits(
            manifest.resources if manifest is not None else Resources(), operator.limits, config.limits
        ),
        permissions=permissions,
        entries=entries,
        waiting=waiting,
        missing=tuple(permission for permission in asked.required if permission in waiting),
        config={**(manifest.config if manifest is not None else {}), **operator.config},
        readable_env=frozenset({*readable, *entries.variables}),
        tool_prefix=operator.tool_prefix,
    )


def missing_permissions(plugin: str, settings: Settings) -> str:
    """Say what `plugin` cannot do without and how the operator grants it."""
    names = ", ".join(_named(name, settings.waiting[name]) for name in settings.missing)
    return f"requires {names}, which is not granted: prx plugin grant {plugin} {' '.join(settings.missing)}"


def surroundings_of(settings: Settings) -> Surroundings:
    """Return what a guest finds around itself under `settings`, the variables with their values of this moment."""
    return Surroundings(settings.entries.directories, values_of(settings.entries.variables))


def _uncovered(asked: Sequence[str], covered: Sequence[str]) -> tuple[str, ...]:
    return tuple(entry for entry in asked if entry not in covered)


def _named(permission: str, entries: Sequence[str]) -> str:
    if not entries:
        return f'"{permission}"'
    more = f" and {len(entries) - _MAX_NAMED} more" if len(entries) > _MAX_NAMED else ""
    return f'"{permission}" for {", ".join(entries[:_MAX_NAMED])}{more}'


def _limits(asked: Resources, operator: PluginLimits, defaults: PluginLimits) -> Limits:
    values = defaults.model_dump() | _asked(asked) | operator.model_dump(include=operator.model_fields_set)
    return Limits(
        max_fuel=values["max_fuel"],
        max_memory_bytes=values["max_memory_mb"] * _MIB,
        max_execution_secs=values["max_execution_time_ms"] / 1000,
        max_output_bytes=values["max_output_kb"] * _KIB,
        max_http_requests=values["max_http_requests"],
        max_kv_bytes=values["max_kv_storage_kb"] * _KIB,
        max_concurrency=values["max_concurrency"],
        warm=values["instance"] == "warm",
    )


def _asked(asked: Resources) -> dict[str, object]:
    values = asked.model_dump(exclude_none=True, exclude={"pool_size"})
    # Both spellings of the ecosystem's manifests.
    if "max_http_requests_per_call" in values:
        values.setdefault("max_http_requests", values.pop("max_http_requests_per_call"))
    if "max_kv_storage_mb" in values:
        values.setdefault("max_kv_storage_kb", values.pop("max_kv_storage_mb") * _KIB)
    return values
