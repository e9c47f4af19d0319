"""The schema: every key declared in full, defaults as documented, secrets never shown."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from prx.config.schema import Config, GatewayConfig
from prx.config.sources import load
from prx.config.types import Table, is_loopback, is_secret_key
from prx.core.errors import ConfigError

HIDDEN = "hunter2-is-no-secret"
SIGNING = "c2lnbmluZyBrZXk="


def tables_in(annotation: Any) -> Iterator[type[Table]]:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        yield annotation
    for argument in get_args(annotation):
        yield from tables_in(argument)


def keys(table: type[Table], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key that holds a value, with those inside of tables and of tables by name."""
    for name, field in table.model_fields.items():
        is_table = isinstance(field.annotation, type) and issubclass(field.annotation, Table)
        if not is_table:
            yield prefix + name, field
        step = "*." if get_origin(field.annotation) is dict else ""
        for inner in tables_in(field.annotation):
            yield from keys(inner, f"{prefix}{name}.{step}")


KEYS = dict(keys(Config))


@pytest.mark.parametrize("key", KEYS)
def test_every_key_says_what_it_is_and_when_it_takes_effect(key: str) -> None:
    field = KEYS[key]
    assert field.description
    assert field.description.endswith(".")
    assert field.json_schema_extra in ({"reload": "hot"}, {"reload": "restart"})


@pytest.mark.parametrize(
    "key", ["gateway.host", "gateway.port", "gateway.tls_cert", "daemon.data_dir", "memory.backend"]
)
def test_what_is_bound_at_the_start_is_declared_restart_only(key: str) -> None:
    assert KEYS[key].json_schema_extra == {"reload": "restart"}


@pytest.mark.parametrize(
    "key",
    [
        "agent.max_turns",
        "provider.model",
        "memory.top_k",
        "memory.min_relevance_score",
        "channels_config.*.allowed_users",
        "mcp.servers.*.command",
        "plugins.limits.max_memory_mb",
        "daemon.log_level",
        "gateway.rate_limits.other",
    ],
)
def test_what_the_contract_calls_hot_is_declared_hot(key: str) -> None:
    assert KEYS[key].json_schema_extra == {"reload": "hot"}


def test_the_defaults_are_those_of_the_contract() -> None:
    config = Config()
    assert (config.gateway.host, config.gateway.port) == ("127.0.0.1", 3120)
    assert config.gateway.rate_limits.model_dump() == {
        "sessions_write": 10,
        "sessions_read": 50,
        "config_write": 5,
        "other": 30,
    }
    assert (config.gateway.request_timeout_secs, config.gateway.max_body_kb) == (300, 1024)
    assert (config.daemon.log_level, config.daemon.log_format, config.daemon.drain_secs) == (
        "info",
        "auto",
        30,
    )
    assert (config.agent.max_turns, config.agent.max_tool_calls_per_turn) == (50, 10)
    assert (config.agent.session_idle_secs, config.agent.session_timeout_secs) == (900, 3600)
    assert config.provider.name == "builtin"
    assert (config.memory.backend, config.memory.top_k) == ("sqlite", 10)
    assert config.plugins.auto_grant == ("kv", "events")
    assert (config.plugins.watch, config.plugins.keep_generations) == (True, 3)
    assert config.plugins.limits.model_dump() == {
        "max_fuel": None,
        "max_memory_mb": 64,
        "max_execution_time_ms": 5000,
        "max_http_requests": 10,
        "max_kv_storage_kb": 1024,
        "max_concurrency": 4,
        "instance": "fresh",
        "max_output_kb": 1024,
    }
    assert (config.hooks.timeout_secs, config.hooks.max_retries) == (10, 8)


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().gateway.port = 1  # type: ignore[misc]


def test_no_secret_shows_in_a_repr_or_a_dump() -> None:
    config = Config.model_validate(
        {
            "provider": {"api_key": HIDDEN, "base_url": f"http://u:{HIDDEN}@h/"},
            "mcp": {
                "servers": {
                    "a": {
                        "url": f"http://u:{HIDDEN}@h/",
                        "headers": {"Authorization": HIDDEN},
                        "oauth": {"client_id": "a", "client_secret": HIDDEN, "issuer": "https://h"},
                    },
                    "b": {"command": "b", "env": {"HARMLESS_NAME": HIDDEN}},
                }
            },
            "channels_config": {"pigeon": {"bot_token": HIDDEN, "deep": [{"api_key": HIDDEN}]}},
            "hooks": {"endpoints": [{"url": f"http://h/{HIDDEN}", "secret": f"whsec_{SIGNING}"}]},
        }
    )
    for hidden in (HIDDEN, SIGNING):
        assert hidden not in repr(config)
        assert hidden not in str(config)
    pigeon = config.channels_config["pigeon"].model_extra
    assert pigeon is not None
    assert pigeon["bot_token"].get_secret_value() == HIDDEN


def test_env_values_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_TOKEN", HIDDEN)
    config = Config.model_validate(
        {"provider": {"api_key": "env:THE_TOKEN"}, "channels_config": {"x": {"bot_token": "env:THE_TOKEN"}}}
    )
    assert config.provider.api_key is not None
    assert config.provider.api_key.get_secret_value() == HIDDEN
    extra = config.channels_config["x"].model_extra
    assert extra is not None
    assert extra["bot_token"].get_secret_value() == HIDDEN


@pytest.mark.parametrize(
    ("name", "secret"),
    [("api_key", True), ("bot_token", True), ("tls_key", True), ("keyword", False), ("trusted_keys", False)],
)
def test_secret_keys_are_told_by_their_names(name: str, *, secret: bool) -> None:
    assert is_secret_key(name) is secret


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_a_loopback_bind_needs_nothing(host: str) -> None:
    assert is_loopback(host)
    assert GatewayConfig(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "prx.example.com"])  # noqa: S104
def test_a_public_bind_needs_tls_or_consent(host: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="allow_public_bind = true"):
        GatewayConfig(host=host)
    assert GatewayConfig(host=host, allow_public_bind=True).host == host
    assert GatewayConfig(host=host, tls_cert=tmp_path / "c.pem", tls_key=tmp_path / "k.pem").host == host


def test_half_a_tls_setup_is_refused() -> None:
    with pytest.raises(ValidationError, match="set both, or neither"):
        GatewayConfig(tls_cert=Path("c.pem"))


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ({}, "set either command"),
        ({"command": "a", "url": "http://b"}, "set either command"),
        ({"transport": "stdio", "url": "http://b"}, "needs a command"),
        ({"transport": "sse", "command": "a"}, "needs a url"),
    ],
)
def test_an_mcp_server_without_its_way_in_is_refused(server: dict[str, str], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Config.model_validate({"mcp": {"servers": {"x": server}}})


@pytest.mark.parametrize("name", ["", ".", ".."])
@pytest.mark.parametrize(
    ("key", "table"), [("mcp.servers", '{ command = "c" }'), ("channels_config", '{ type = "t" }')]
)
def test_a_name_that_no_address_of_the_api_leads_to_is_refused(
    key: str, table: str, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "prx.toml"
    file.write_text(f'[{key}]\n"{name}" = {table}\n')
    with pytest.raises(ConfigError) as caught:
        load(file, ())
    assert (
        caught.value.message
        == f'{file}:2: {key}."{name}": "{name}" is no name: no address of the API could lead to it'
    )


GOOD_KEY = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


@pytest.mark.parametrize(
    "key", ["", "ed25519:AAAA", "A" * 43 + "=", "ed25519:" + "A" * 42 + "B=", "rsa:" + "A" * 43 + "="]
)
def test_a_trusted_key_that_is_none_is_refused_by_name(key: str) -> None:
    with pytest.raises(ValidationError, match="is no public key: one is") as caught:
        Config.model_validate({"plugins": {"trusted_keys": [GOOD_KEY, key]}})
    assert caught.value.errors()[0]["loc"] == ("plugins", "trusted_keys", 1)


@pytest.mark.parametrize("first", [0x00, 0x01, 0xEC, 0xED, 0xEE])
@pytest.mark.parametrize("sign", [0x00, 0x80])
def test_a_key_that_anybody_can_sign_with_is_not_trusted(first: int, sign: int) -> None:
    rest = 0xFF if first > 1 else 0x00
    point = bytes([first, *[rest] * 30, (rest & 0x7F) | sign])
    key = f"ed25519:{base64.b64encode(point).decode()}"
    with pytest.raises(ValidationError, match="a key that anybody can sign with"):
        Config.model_validate({"plugins": {"trusted_keys": [key]}})
