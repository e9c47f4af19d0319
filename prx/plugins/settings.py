"""What one plugin gets: its manifest, the operator's settings and the daemon's defaults, merged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prx.config.schema import PluginLimits, PluginsConfig, PluginSettings
from prx.plugins.calls import Limits
from prx.plugins.manifest import Manifest, Permissions, Resources

ALWAYS_GRANTED = ("log", "config", "clock")
_KIB, _MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """The outcome, fixed for one generation."""

    limits: Limits
    permissions: frozenset[str]
    missing: tuple[str, ...]
    """Required permissions that the operator did not grant: the plugin must not run without them."""
    config: Mapping[str, str]
    """As it is written: `secret:` and `env:` are not resolved."""
    readable_env: frozenset[str]
    """Variables of the daemon's environment that `config` may name."""
    tool_prefix: str


def settings_for(
    name: str, manifest: Manifest | None, config: PluginsConfig, decisions: Mapping[str, bool]
) -> Settings:
    """Merge what is known about the plugin `name`; the operator's settings win, then its manifest.

    `decisions` are the operator's grants and revocations; where there is none, `plugins.auto_grant` decides.
    """
    operator = config.settings.get(name, PluginSettings())
    asked = manifest.permissions if manifest is not None else Permissions()
    allowed = dict.fromkeys(config.auto_grant, True) | dict(decisions) | dict.fromkeys(ALWAYS_GRANTED, True)
    granted = frozenset(permission for permission, yes in allowed.items() if yes)
    permissions = frozenset(ALWAYS_GRANTED) | (granted & {*asked.required, *asked.optional})
    readable = {value.removeprefix("env:") for value in operator.config.values() if value.startswith("env:")}
    return Settings(
        limits=_limits(
            manifest.resources if manifest is not None else Resources(), operator.limits, config.limits
        ),
        permissions=permissions,
        missing=tuple(name for name in asked.required if name not in granted),
        config={**(manifest.config if manifest is not None else {}), **operator.config},
        readable_env=frozenset(readable | set(asked.env_allowlist if "env" in permissions else ())),
        tool_prefix=operator.tool_prefix,
    )


def missing_permissions(plugin: str, missing: Sequence[str]) -> str:
    """Say what `plugin` cannot do without and how the operator grants it."""
    names = ", ".join(f'"{name}"' for name in missing)
    return f"requires {names}, which is not granted: prx plugin grant {plugin} {' '.join(missing)}"


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
