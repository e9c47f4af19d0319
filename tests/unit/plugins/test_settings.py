"""What a plugin gets: the operator over its manifest over the daemon's defaults."""

from typing import Any

import pytest

from prx.config.schema import PluginLimits, PluginsConfig, PluginSettings
from prx.plugins.asked import NOTHING_ASKED, Asked
from prx.plugins.manifest import Manifest
from prx.plugins.settings import Decision, Settings, missing_permissions, settings_for

KIB, MIB = 1024, 1024 * 1024


def settings(
    *,
    resources: dict[str, Any] | None = None,
    permissions: dict[str, Any] | None = None,
    config: dict[str, str] | None = None,
    operator: dict[str, Any] | None = None,
    decisions: dict[str, bool | tuple[str, ...]] | None = None,
    **daemon: Any,
) -> Settings:
    manifest = Manifest.model_validate(
        {
            "plugin": {"name": "weather", "version": "1.0.0"},
            "resources": resources or {},
            "permissions": permissions or {},
            "config": config or {},
        }
    )
    if operator is not None:
        daemon["settings"] = {"weather": PluginSettings(**operator)}
    made = {
        permission: Decision(bool(what), what if isinstance(what, tuple) else None)
        for permission, what in (decisions or {}).items()
    }
    return settings_for("weather", manifest, Asked.of(manifest, ()), PluginsConfig(**daemon), made)


def test_without_anything_the_defaults_of_the_specification_hold() -> None:
    found = settings_for("weather", None, NOTHING_ASKED, PluginsConfig(), {})
    limits = found.limits
    assert (limits.max_fuel, limits.max_memory_bytes, limits.max_execution_secs) == (None, 64 * MIB, 5.0)
    assert (limits.max_output_bytes, limits.max_kv_bytes, limits.max_http_requests) == (MIB, MIB, 10)
    assert (limits.max_concurrency, limits.warm) == (4, False)
    assert found.permissions == {"log", "config", "clock"}
    assert (found.missing, found.config, found.tool_prefix) == ((), {}, "")


@pytest.mark.parametrize(
    ("key", "default", "asked", "decided", "field", "factor"),
    [
        ("max_fuel", 10, 20, 30, "max_fuel", 1),
        ("max_memory_mb", 1, 2, 3, "max_memory_bytes", MIB),
        ("max_execution_time_ms", 100, 200, 300, "max_execution_secs", 0.001),
        ("max_http_requests", 1, 2, 3, "max_http_requests", 1),
        ("max_kv_storage_kb", 1, 2, 3, "max_kv_bytes", KIB),
        ("max_concurrency", 1, 2, 3, "max_concurrency", 1),
        ("max_output_kb", 1, 2, 3, "max_output_bytes", KIB),
    ],
)
def test_the_operator_wins_over_the_manifest_and_that_over_the_defaults(
    key: str, default: int, asked: int, decided: int, field: str, factor: float
) -> None:
    limits = PluginLimits(**{key: default})
    assert getattr(settings(limits=limits).limits, field) == pytest.approx(default * factor)
    assert getattr(settings(limits=limits, resources={key: asked}).limits, field) == pytest.approx(
        asked * factor
    )
    found = settings(limits=limits, resources={key: asked}, operator={"limits": {key: decided}})
    assert getattr(found.limits, field) == pytest.approx(decided * factor)


def test_only_the_keys_that_the_operator_sets_count() -> None:
    found = settings(
        resources={"max_memory_mb": 7, "instance": "warm"}, operator={"limits": {"max_output_kb": 9}}
    )
    assert (found.limits.max_memory_bytes, found.limits.warm) == (7 * MIB, True)
    assert found.limits.max_output_bytes == 9 * KIB


def test_settings_of_another_plugin_do_not_count() -> None:
    other = {"other": PluginSettings(tool_prefix="x_", limits=PluginLimits(max_memory_mb=1))}
    found = settings(settings=other)
    assert (found.tool_prefix, found.limits.max_memory_bytes) == ("", 64 * MIB)


@pytest.mark.parametrize(
    ("resources", "field", "value"),
    [
        ({"max_http_requests_per_call": 3}, "max_http_requests", 3),
        ({"max_http_requests": 2, "max_http_requests_per_call": 3}, "max_http_requests", 2),
        ({"max_kv_storage_mb": 2}, "max_kv_bytes", 2 * MIB),
        ({"max_kv_storage_kb": 5, "max_kv_storage_mb": 2}, "max_kv_bytes", 5 * KIB),
        ({"pool_size": 9}, "max_concurrency", 4),
    ],
)
def test_both_spellings_of_the_ecosystem_are_understood(
    resources: dict[str, int], field: str, value: int
) -> None:
    assert getattr(settings(resources=resources).limits, field) == value


def test_config_is_the_manifests_with_the_operators_keys_over_it() -> None:
    found = settings(
        config={"units": "metric", "city": "Oslo"}, operator={"config": {"city": "Bergen", "x": "1"}}
    )
    assert found.config == {"units": "metric", "city": "Bergen", "x": "1"}


def test_a_permission_takes_both_the_plugins_asking_and_the_operators_grant() -> None:
    asked = {"required": ["kv"], "optional": ["memory", "http-outbound"]}
    assert settings(permissions=asked).permissions == {"log", "config", "clock", "kv"}
    granted = settings(permissions=asked, decisions={"memory": True, "env": True, "kv": False})
    assert granted.permissions == {"log", "config", "clock", "memory"}
    assert granted.missing == ("kv",)


def test_a_decision_wins_over_what_is_granted_without_asking() -> None:
    asked = {"required": ["kv", "events"]}
    assert settings(permissions=asked, auto_grant=("kv",)).missing == ("events",)
    assert settings(permissions=asked, auto_grant=("kv",), decisions={"events": True}).missing == ()
    assert settings(permissions=asked, auto_grant=("kv", "events"), decisions={"kv": False}).missing == (
        "kv",
    )


def test_what_every_plugin_has_cannot_be_missing() -> None:
    asked = {"required": ["log", "config", "clock"]}
    found = settings(permissions=asked, auto_grant=(), decisions={"log": False})
    assert found.missing == ()
    assert found.permissions == {"log", "config", "clock"}


def test_a_missing_permission_is_named_with_its_command() -> None:
    found = settings(permissions={"required": ["http-outbound", "memory"]})
    assert missing_permissions("weather", found) == (
        'requires "http-outbound", "memory", which is not granted: prx plugin grant weather http-outbound memory'
    )


def test_what_a_missing_permission_is_for_is_named() -> None:
    asked = {"required": ["env"], "env_allowlist": [f"V{number}" for number in range(7)]}
    assert missing_permissions("weather", settings(permissions=asked)) == (
        'requires "env" for V0, V1, V2, V3, V4 and 2 more, which is not granted: prx plugin grant weather env'
    )
    assert missing_permissions("weather", settings(permissions=asked, decisions={"env": ("V0", "V5")})) == (
        'requires "env" for V1, V2, V3, V4, V6, which is not granted: prx plugin grant weather env'
    )


def test_a_grant_covers_the_entries_that_it_remembers_and_what_lies_below_them() -> None:
    asked = {
        "optional": ["http-outbound", "env"],
        "http_allowlist": ["https://a.example/v1/x", "https://b.example/", "https://a.example/*"],
        "env_allowlist": ["ONE", "TWO"],
    }
    granted = ("https://a.example/v1", "https://c.example/")
    found = settings(permissions=asked, decisions={"http-outbound": granted, "env": ("TWO", "THREE")})
    assert found.entries.named("http-outbound") == ("https://a.example/v1/x",)
    assert found.entries.variables == ("TWO",)
    assert found.readable_env == {"TWO"}
    assert found.waiting == {
        "http-outbound": ("https://b.example/", "https://a.example/"), "env": ("ONE",)
    }  # fmt: skip
    assert found.missing == ()


def test_a_required_permission_is_missing_while_an_entry_of_its_list_is() -> None:
    asked = {"required": ["http-outbound"], "http_allowlist": ["https://a.example/", "https://b.example/"]}
    assert settings(permissions=asked, decisions={"http-outbound": ("https://a.example/",)}).missing == (
        "http-outbound",
    )
    covers_all: list[dict[str, Any]] = [
        {"decisions": {"http-outbound": True}},
        {"auto_grant": ("http-outbound",)},
        {"decisions": {"http-outbound": ("https://b.example/", "https://a.example/")}},
    ]
    for granted in covers_all:
        found = settings(permissions=asked, **granted)
        assert (found.missing, dict(found.waiting)) == ((), {})


def test_a_decision_of_the_operator_is_not_widened_by_what_is_granted_without_asking() -> None:
    asked = {"required": ["env"], "env_allowlist": ["ONE", "TWO"]}
    found = settings(permissions=asked, auto_grant=("env",), decisions={"env": ("ONE",)})
    assert found.missing == ("env",)
    assert found.entries.variables == ("ONE",)
