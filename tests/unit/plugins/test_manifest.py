"""`plugin.toml`: what is accepted, and that every error names the key that is wrong."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prx.plugins.errors import LoadError
from prx.plugins.manifest import Manifest, parse_manifest, read_manifest
from tests.support.toml import toml

ABOUT = {"name": "weather", "version": "1.2.0"}


def parsed(**tables: Any) -> Manifest:
    return parse_manifest(toml({"plugin": ABOUT, **tables}).encode())


def refused(text: str | bytes) -> str:
    with pytest.raises(LoadError) as caught:
        parse_manifest(text if isinstance(text, bytes) else text.encode())
    return caught.value.message


def test_name_and_version_are_enough() -> None:
    manifest = parsed()
    assert (manifest.plugin.name, manifest.plugin.version, manifest.plugin.api_version) == (
        "weather",
        "1.2.0",
        "1",
    )
    assert manifest.plugin.wasm == "plugin.wasm"
    assert manifest.permissions.required == []
    assert manifest.resources.model_dump(exclude_none=True) == {}
    assert manifest.warnings() == []


def test_every_key_of_the_specification_is_accepted() -> None:
    tables = {
        "plugin": {
            **ABOUT, "api_version": "1", "description": "d", "author": "a", "license": "MIT", "wasm": "build/w.wasm",
        },
        "capabilities": [
            {"type": kind, "name": kind, "description": "d"}
            for kind in ("tool", "middleware", "provider", "storage", "channel")
        ]
        + [
            {"type": "hook", "events": ["prx.tool.*"], "priority": 0},
            {"type": "cron", "schedule": "*/5 * * * *", "timezone": "Europe/Paris", "priority": 100},
        ],
        "permissions": {
            "required": ["log", "config", "clock", "kv", "http-outbound"],
            "optional": ["memory", "events", "filesystem", "env"],
            "http_allowlist": ["https://api.example/v1"],
            "filesystem_allowlist": ["/data"],
            "env_allowlist": ["TZ"],
        },
        "resources": {
            "max_fuel": 1, "max_memory_mb": 64, "max_execution_time_ms": 5000, "max_http_requests": 0,
            "max_kv_storage_kb": 0, "max_concurrency": 4, "instance": "warm", "max_output_kb": 1024,
        },
        "config": {"units": "metric", "key": "secret:WEATHER"},
    }  # fmt: skip
    manifest = parse_manifest(toml(tables).encode())
    assert manifest.model_dump(exclude_unset=True) == tables


@pytest.mark.parametrize("events", ['["a.*", "b"]', '[{pattern = "a.*"}, {pattern = "b"}]'])
def test_events_are_accepted_in_both_spellings(events: str) -> None:
    text = toml({"plugin": ABOUT}) + f'[[capabilities]]\ntype = "hook"\nevents = {events}\n'
    assert parse_manifest(text.encode()).capabilities[0].events == ["a.*", "b"]


def test_a_pool_size_is_read_and_ignored_with_a_warning() -> None:
    [warning] = parsed(resources={"pool_size": 8}).warnings()
    assert "pool_size is ignored" in warning


@pytest.mark.parametrize(
    "version", ["0.0.0", "10.20.30", "1.0.0-alpha.1", "1.0.0-0a", "1.0.0+b.01", "1.0.0-x-y+z"]
)
def test_versions_are_semantic_versions(version: str) -> None:
    assert parsed(plugin={**ABOUT, "version": version}).plugin.version == version


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("name", "Weather", "lower-case words joined by"),
        ("name", "my_weather", "lower-case words joined by"),
        ("name", "weather-", "lower-case words joined by"),
        ("name", "weather\n", "lower-case words joined by"),
        ("name", "a" * 65, "64 characters"),
        ("name", "", "lower-case words joined by"),
        ("version", "1.2", "a semantic version such as"),
        ("version", "01.2.3", "a semantic version such as"),
        ("version", "1.2.3-01", "a semantic version such as"),
        ("version", "1.2.3-a..b", "a semantic version such as"),
        ("version", "1.\u0663.3", "a semantic version such as"),
        ("version", 1, "string"),
        ("api_version", "2", "must be '1'"),
        ("api_version", 1, "must be '1'"),
        ("wasm", "../plugin.wasm", "inside the plugin's directory"),
        ("wasm", "a/../../plugin.wasm", "inside the plugin's directory"),
        ("wasm", "/plugin.wasm", "inside the plugin's directory"),
        ("wasm", "", "inside the plugin's directory"),
        ("wasm", ".", "inside the plugin's directory"),
        ("wasm", "a\0b", "inside the plugin's directory"),
    ],
)
def test_a_wrong_value_of_the_plugin_table_names_its_key(key: str, value: object, why: str) -> None:
    message = refused(toml({"plugin": {**ABOUT, key: value}}))
    assert f"[plugin] {key}: " in message
    assert why in message


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("permissions", "required", ["telepathy"]),
        ("permissions", "optional", "kv"),
        ("permissions", "http_allowlist", [1]),
        ("resources", "max_fuel", 0),
        ("resources", "max_fuel", 1.5),
        ("resources", "max_memory_mb", 0),
        ("resources", "max_memory_mb", 5000),
        ("resources", "max_memory_mb", "64"),
        ("resources", "max_execution_time_ms", 0),
        ("resources", "max_http_requests", -1),
        ("resources", "max_http_requests_per_call", -1),
        ("resources", "max_kv_storage_kb", -1),
        ("resources", "max_kv_storage_mb", -1),
        ("resources", "max_concurrency", 0),
        ("resources", "max_concurrency", 65),
        ("resources", "max_concurrency", True),
        ("resources", "instance", "hot"),
        ("resources", "max_output_kb", 0),
        ("config", "units", 1),
    ],
)
def test_a_wrong_value_names_its_table_and_key(table: str, key: str, value: object) -> None:
    assert f"[{table}] {key}: " in refused(toml({"plugin": ABOUT, table: {key: value}}))


@pytest.mark.parametrize(
    ("key", "entries", "why"),
    [
        ("http_allowlist", ["https://*.example/"], '"https://*.example/": a "*" stands only at the end'),
        ("http_allowlist", ["https://a.example/"] * 257, "at most 256 items"),
        ("filesystem_allowlist", ["notes"], '"notes": must be an absolute path'),
        ("filesystem_allowlist", ["/srv/../etc"], 'must not hold ".."'),
        ("filesystem_allowlist", ["/srv", "/srv/a:rw"], "one lies in the other, with another mode"),
        ("filesystem_allowlist", [f"/srv/{number}" for number in range(17)], "at most 16 directories"),
        ("env_allowlist", ["A=B"], "'A=B': must be a name"),
        ("env_allowlist", [""], "must be a name"),
        ("env_allowlist", ["A" * 129], "must be a name"),
        ("env_allowlist", ["LANG\n"], "must be a name"),
        ("env_allowlist", ["PRX_CONFIG"], '"PRX_CONFIG": is a variable of PRX itself'),
        ("env_allowlist", ["prx__gateway__port"], "is a variable of PRX itself"),
        ("env_allowlist", [f"V{number}" for number in range(257)], "at most 256 items"),
    ],
)
def test_an_entry_that_cannot_be_granted_is_named(key: str, entries: list[str], why: str) -> None:
    message = refused(toml({"plugin": ABOUT, "permissions": {key: entries}}))
    assert f"[permissions] {key}: " in message
    assert why in message


@pytest.mark.parametrize(
    ("key", "value"),
    [("type", "cook"), ("priority", 101), ("priority", -1), ("events", "a"), ("schedule", 5)],
)
def test_a_wrong_value_of_a_capability_names_its_key(key: str, value: object) -> None:
    capability = {"type": "hook", key: value}
    assert f"[capabilities] {key}: " in refused(toml({"plugin": ABOUT, "capabilities": [capability]}))


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"plugin": {**ABOUT, "nmae": "x"}}, '[plugin] unknown key "nmae"; did you mean "name"?'),
        ({"resources": {"max_fule": 1}}, '[resources] unknown key "max_fule"; did you mean "max_fuel"?'),
        ({"permissions": {"zzz": 1}}, '[permissions] unknown key "zzz"; known keys: required, optional'),
        (
            {"capabilities": [{"type": "tool", "pirority": 1}]},
            '[capabilities] unknown key "pirority"; did you mean',
        ),
        ({"limits": {}}, 'unknown key "limits"; known keys: plugin, capabilities'),
    ],
)
def test_an_unknown_key_is_named_with_what_was_meant(tables: dict[str, Any], message: str) -> None:
    assert message in refused(toml({"plugin": ABOUT, **tables}))


def test_missing_keys_are_named() -> None:
    assert "[plugin] version: " in refused('[plugin]\nname = "weather"\n')
    assert "plugin: " in refused("")


def test_several_wrong_keys_are_told_at_once_but_not_all_of_many() -> None:
    message = refused(toml({"plugin": ABOUT, "resources": {f"k{number}": 1 for number in range(9)}}))
    assert message.count("unknown key") == 3


def test_a_file_that_is_not_utf_8_says_where() -> None:
    assert refused(b'[plugin]\nname = "\xff"') == "plugin.toml is not UTF-8 text (byte 17)"


@pytest.mark.parametrize(
    "text", ["[plugin", "a = " + "[" * 5000, f"a = {'9' * 5000}", "a = 1\na = 2", "date = 2026-13-45"]
)
def test_what_is_no_toml_is_told_so(text: str) -> None:
    assert refused(text).startswith("plugin.toml is not TOML: ")


def test_a_manifest_may_have_256_kib(tmp_path: Path) -> None:
    path = tmp_path / "plugin.toml"
    text = toml({"plugin": ABOUT})
    path.write_text(text + "#" * (256 * 1024 - len(text)))
    assert read_manifest(path).plugin.name == "weather"
    with path.open("a") as file:
        file.write("#")
    with pytest.raises(LoadError, match=r"plugin\.toml has 262145 bytes, at most 262144"):
        read_manifest(path)


def test_a_manifest_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text(toml({"plugin": ABOUT}))
    (tmp_path / "plugin.toml").symlink_to("real.toml")
    with pytest.raises(LoadError, match=r"plugin\.toml is a symbolic link"):
        read_manifest(tmp_path / "plugin.toml")


def test_a_manifest_that_is_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plugin.toml")
    with pytest.raises(LoadError, match=r"plugin\.toml is not a regular file"):
        read_manifest(tmp_path / "plugin.toml")


def test_a_manifest_that_is_a_directory_or_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"plugin\.toml cannot be read: No such file"):
        read_manifest(tmp_path / "plugin.toml")
    (tmp_path / "plugin.toml").mkdir()
    with pytest.raises(LoadError, match=r"plugin\.toml is not a regular file"):
        read_manifest(tmp_path / "plugin.toml")


@given(st.binary())
@example(b"\xef\xbb\xbf[plugin]")
def test_arbitrary_bytes_raise_nothing_but_a_load_error(data: bytes) -> None:
    with pytest.raises(LoadError):
        parse_manifest(data)


_ANYTHING = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_TABLES = ("plugin", "capabilities", "permissions", "resources", "config")
_KEYS = st.sampled_from(
    [
        "name",
        "version",
        "wasm",
        "type",
        "events",
        "required",
        "optional",
        "max_fuel",
        "instance",
        "http_allowlist",
    ]
)


_TABLE = st.dictionaries(_KEYS | st.text(max_size=3), _ANYTHING, max_size=3)


@given(
    st.dictionaries(st.sampled_from(_TABLES), _TABLE | st.lists(_TABLE, max_size=2) | _ANYTHING, max_size=3)
)
def test_tables_of_any_content_raise_nothing_but_a_load_error(tables: dict[str, Any]) -> None:
    with pytest.raises(LoadError):
        parse_manifest(toml({"plugin": {"name": "no-version"}, **tables, "zzz": 1}).encode())


_TEXT = st.text(st.characters(codec="utf-8"))
_NAMES = st.from_regex(r"[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,5}){0,3}", fullmatch=True)
_VERSIONS = st.from_regex(
    r"(0|[1-9][0-9]{0,3})(\.(0|[1-9][0-9]{0,3})){2}(-[a-z]{1,5}(\.[1-9]){0,2})?", fullmatch=True
)
_PERMISSIONS = st.lists(
    st.sampled_from(["log", "config", "clock", "kv", "http-outbound", "memory", "events"])
)


@given(
    plugin=st.fixed_dictionaries(
        {"name": _NAMES, "version": _VERSIONS},
        optional={"description": _TEXT, "author": _TEXT, "license": _TEXT, "wasm": st.just("deep/er/x.wasm")},
    ),
    permissions=st.fixed_dictionaries({}, optional={"required": _PERMISSIONS, "optional": _PERMISSIONS}),
    resources=st.fixed_dictionaries(
        {},
        optional={
            "max_fuel": st.integers(1, 2**63 - 1),
            "max_concurrency": st.integers(1, 64),
            "instance": st.sampled_from(["fresh", "warm"]),
            "max_output_kb": st.integers(1, 16 * 1024),
        },
    ),
    config=st.dictionaries(_TEXT, _TEXT, max_size=5),
)
def test_a_valid_manifest_is_read_as_it_was_written(**tables: dict[str, Any]) -> None:
    dumped = parse_manifest(toml(tables).encode()).model_dump(exclude_unset=True)
    assert dumped == tables
