"""The layers: found in order, laid over each other, and every fault told with its place."""

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.config.keys import holds
from prx.config.layers import setting
from prx.config.sources import Sources, load
from prx.config.toml import Layer, line_of, read, salvage
from prx.core.errors import ConfigError


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests away from the configuration and the data of whoever runs them."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusal(path: Path, text: str, environment: dict[str, str] | None = None) -> str:
    """Return what loading a file with this text is refused with."""
    with pytest.raises(ConfigError) as caught:
        load(written(path, text), [], environment or {})
    return caught.value.message


def test_without_any_file_the_defaults_hold_and_plugins_lie_with_the_data(tmp_path: Path) -> None:
    config = load(None, [], {})
    assert config.gateway.port == 3120
    assert config.daemon.data_dir == tmp_path / "data" / "prx"
    assert config.plugins.directory == tmp_path / "data" / "prx" / "plugins"
    assert config.skills.directory == tmp_path / "data" / "prx" / "skills"


def test_without_any_file_plugins_follow_a_data_dir_from_the_environment(tmp_path: Path) -> None:
    config = load(None, [], {"PRX__DAEMON__DATA_DIR": str(tmp_path / "elsewhere")})
    assert config.plugins.directory == tmp_path / "elsewhere" / "plugins"


def test_the_file_is_found_in_the_documented_order(tmp_path: Path) -> None:
    platform = written(tmp_path / "xdg" / "prx" / "prx.toml", "")
    assert Sources(None, (), {}).find_file() == platform
    local = written(tmp_path / "cwd" / "prx.toml", "")
    assert Sources(None, (), {}).find_file() == local
    named = written(tmp_path / "named.toml", "")
    assert Sources(None, (), {"PRX_CONFIG": str(named)}).find_file() == named
    explicit = written(tmp_path / "explicit.toml", "")
    assert Sources(explicit, (), {"PRX_CONFIG": str(named)}).find_file() == explicit


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--config: there is no file .*absent\.toml"):
        load(tmp_path / "absent.toml", [], {})
    with pytest.raises(ConfigError, match=r"PRX_CONFIG: there is no file .*absent\.toml"):
        load(None, [], {"PRX_CONFIG": "absent.toml"})


def test_later_layers_win_key_by_key(tmp_path: Path) -> None:
    file = written(
        tmp_path / "prx.toml", "[agent]\nmax_turns = 1\nsession_idle_secs = 1\n[memory]\ntop_k = 1\n"
    )
    written(tmp_path / "prx.d" / "20.toml", "[agent]\nmax_turns = 3\n")
    written(tmp_path / "prx.d" / "10.toml", "[agent]\nmax_turns = 2\n[hooks]\nmax_retries = 2\n")
    environment = {"PRX__HOOKS__MAX_RETRIES": "4", "PRX__GATEWAY__PORT": "4"}
    config = load(file, [setting("--port", "gateway.port", 5)], environment)
    assert config.memory.top_k == 1
    assert (config.agent.max_turns, config.agent.session_idle_secs) == (3, 1)
    assert config.hooks.max_retries == 4
    assert config.gateway.port == 5


def test_relative_paths_are_taken_from_the_file_that_configures(tmp_path: Path) -> None:
    file = written(
        tmp_path / "etc" / "prx.toml",
        '[daemon]\ndata_dir = "data"\n[plugins]\ndirectory = "../plugins"\n'
        '[mcp.servers.x]\ncommand = "x"\ncwd = "/absolute"\n',
    )
    config = load(file, [], {})
    assert config.daemon.data_dir == tmp_path / "etc" / "data"
    assert config.plugins.directory == tmp_path / "etc" / ".." / "plugins"
    assert config.skills.directory == tmp_path / "etc" / "skills"
    assert config.mcp.servers["x"].cwd == Path("/absolute")


@pytest.mark.parametrize(
    ("name", "text", "key"),
    [
        ("PRX__GATEWAY__ALLOWED_HOSTS", '["a", "b"]', ("gateway", "allowed_hosts")),
        ("PRX__PLUGINS__WATCH", "true", ("plugins", "watch")),
        ("PRX__MEMORY__MIN_RELEVANCE_SCORE", "0.5", ("memory", "min_relevance_score")),
        ("PRX__PROVIDER__MODEL", "4", ("provider", "model")),
        ("PRX__DAEMON__LOG_LEVEL", "debug", ("daemon", "log_level")),
    ],
)
def test_a_variable_is_read_as_its_key_expects(name: str, text: str, key: tuple[str, str]) -> None:
    expected: dict[str, Any] = {
        "allowed_hosts": ("a", "b"),
        "watch": True,
        "min_relevance_score": 0.5,
        "model": "4",
        "log_level": "debug",
    }
    table, name_in_table = key
    assert getattr(getattr(load(None, [], {name: text}), table), name_in_table) == expected[name_in_table]


def test_every_key_of_a_channel_can_be_set_from_a_file(tmp_path: Path) -> None:
    text = "[channels_config.x]\nallowed_users = ['1', '2']\nmention_only = true\nrooms = ['a']\n"
    channel = load(written(tmp_path / "prx.toml", text), [], {}).channels_config["x"]
    assert (channel.allowed_users, channel.mention_only) == (("1", "2"), True)
    assert channel.model_extra == {"rooms": ["a"]}


def test_a_secret_of_digits_in_a_variable_stays_text() -> None:
    environment = {"PRX__PROVIDER__API_KEY": "123456", "PRX__CHANNELS_CONFIG__X__BOT_TOKEN": "123456"}
    config = load(None, [], environment)
    assert config.provider.api_key is not None
    assert config.provider.api_key.get_secret_value() == "123456"
    extra = config.channels_config["x"].model_extra
    assert extra is not None
    assert extra["bot_token"].get_secret_value() == "123456"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[gateway]\nport = 70000",
            ":2: gateway.port: expected integer, at least 0, at most 65535, not 70000",
        ),
        (
            '[gateway]\nport = "3120"',
            ':2: gateway.port: expected integer, at least 0, at most 65535, not "3120"',
        ),
        ("\n[gateway]\n\nprot = 1", ':4: gateway.prot: unknown key; did you mean "gateway.port"?'),
        ("[cron]", ":1: cron: unknown key; this table knows agent, channels_config, daemon,"),
        (
            '[daemon]\nlog_level = "loud"',
            ":2: daemon.log_level: expected one of trace, debug, info, warn, error, not",
        ),
        ("[[hooks.endpoints]]\nurl = 'http://a'\n[[hooks.endpoints]]", ":3: hooks.endpoints.1.url: missing"),
        (
            "[[hooks.endpoints]]\nurl = 'http://a'\nevents = ['x']",
            ":3: hooks.endpoints.0.events.0: no such event",
        ),
        ('[gateway]\nhost = "0.0.0.0"', ":1: gateway: host "),
        (
            "[plugins]\nauto_grant = [\n 'kv',\n 'root',\n]",
            ":2: plugins.auto_grant.1: expected one of log, config,",
        ),
        (
            "[memory]\nretention_days = 2026-11-23",
            ':2: memory.retention_days: expected integer, at least 1, not "2026',
        ),
        (
            "[provider]\napi_key = 'env:NOT_SET_HERE'",
            ":2: provider.api_key: the environment variable NOT_SET_HERE",
        ),
        (
            "[channels_config.x]\ntoken = 'env:NOT_SET_HERE'",
            ":1: channels_config.x: token: the environment var",
        ),
        ("port = ", ": not valid TOML: Invalid value (at end of document)"),
    ],
)
def test_a_fault_is_told_with_file_line_key_and_what_was_expected(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "prx.toml"
    assert refusal(path, text).startswith(f"{path}{expected}")


def test_a_list_with_an_element_that_is_wrong_is_not_told_to_be_too_short_as_well(tmp_path: Path) -> None:
    said = refusal(tmp_path / "prx.toml", "[[hooks.endpoints]]\nurl = 'http://a'\nevents = ['x']")
    assert len(said.splitlines()) == 1


def test_every_fault_is_told_at_once_and_for_programs_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path / "prx.toml", "[agent]\nmax_turns = 0\n[memory]\ntop_k = 0\n"), [], {})
    assert caught.value.message.count("\n") == 1
    assert caught.value.details is not None
    assert [error["field"] for error in caught.value.details["errors"]] == ["agent.max_turns", "memory.top_k"]


def test_a_fault_names_the_layer_it_came_from(tmp_path: Path) -> None:
    drop_in = written(tmp_path / "prx.d" / "a.toml", "[agent]\nmax_turns = 0")
    assert refusal(tmp_path / "prx.toml", "[agent]\nmax_turns = 5").startswith(
        f"{drop_in}:2: agent.max_turns:"
    )
    drop_in.unlink()
    variable = {"PRX__AGENT__MAX_TURNS": "many"}
    assert refusal(tmp_path / "prx.toml", "[agent]\nmax_turns = 5", variable).startswith(
        'PRX__AGENT__MAX_TURNS: agent.max_turns: expected integer, at least 1, at most 10000, not "many"'
    )


def test_a_secret_of_the_wrong_type_is_not_repeated(tmp_path: Path) -> None:
    for text in ("[provider]\napi_key = 12345", "[channels_config.x]\nbot_token = 12345"):
        assert "12345" not in refusal(tmp_path / "prx.toml", text)
    text = "[mcp.servers.x]\ncommand = 'x'\nenv = {HOME = 12345}"
    assert "12345" not in refusal(tmp_path / "prx.toml", text)


def test_a_file_that_is_not_text_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prx.toml"
    path.write_bytes(b"# fine\n# \xff")
    with pytest.raises(ConfigError, match=":2: not UTF-8"):
        load(path, [], {})
    path.write_bytes(b"#" * (1 << 20) + b"\n\n")
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load(path, [], {})


def test_drop_ins_that_cannot_be_listed_are_no_reason_to_run_without_them(tmp_path: Path) -> None:
    file = written(tmp_path / "prx.toml", "")
    (tmp_path / "prx.d").symlink_to("prx.d")
    sources = Sources(file, (), {})
    sources.stamp()  # the watch goes on
    with pytest.raises(ConfigError, match=r"cannot list .*prx\.d: Too many levels of symbolic links"):
        sources.load()


def test_the_files_of_editors_are_no_drop_ins(tmp_path: Path) -> None:
    file = written(tmp_path / "prx.toml", "")
    written(tmp_path / "prx.d" / "a.toml", "")
    (tmp_path / "prx.d" / ".#a.toml").symlink_to("somebody@machine.1234")
    written(tmp_path / "prx.d" / "a.toml~", "not TOML")
    assert Sources(file, (), {}).files() == [file, tmp_path / "prx.d" / "a.toml"]


def test_every_change_of_a_file_that_counts_shows_in_the_stamp(tmp_path: Path) -> None:
    sources = Sources(tmp_path / "prx.toml", (), {"PRX__DAEMON__DATA_DIR": str(tmp_path)})
    file = written(tmp_path / "prx.toml", "")
    sources.load()
    stamps = [sources.stamp()]
    assert stamps == [sources.seen]
    for act in (
        lambda: file.write_text("# a"),
        lambda: written(tmp_path / "prx.d" / "a.toml", ""),
        lambda: (tmp_path / "prx.d" / "a.toml").rename(tmp_path / "prx.d" / "b.toml"),
        lambda: (tmp_path / "overlay.toml").touch(mode=0o600),
        lambda: written(tmp_path / "new", "# b").replace(file),
        file.unlink,
    ):
        act()
        assert sources.stamp() not in stamps
        stamps.append(sources.stamp())


def test_two_loads_of_the_same_files_are_equal(tmp_path: Path) -> None:
    file = written(tmp_path / "prx.toml", "[provider]\napi_key = 'x'\n[channels_config.a]\nbot_token = 'y'\n")
    assert load(file, [], {}) == load(file, [], {})


NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=5)
VALUES = st.sampled_from(["1", '"x"', "[\n 1,\n]", '"""\n[a]\nb = 1\n"""', "{ z = 1 }"])


@given(tables=st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), max_size=5))
def test_a_key_is_found_on_the_line_where_its_statement_begins(tables: dict[str, dict[str, str]]) -> None:
    lines: list[str] = []
    begins: dict[tuple[str, str], int] = {}
    for table, keys in tables.items():
        lines += ["# a comment", f"[{table}]"]
        for key, value in keys.items():
            begins[table, key] = len(lines) + 1
            lines += f"{key} = {value}".split("\n")
    text = "\n".join(lines)
    assert {key: line_of(key, text) for key in begins} == begins
    assert line_of(("absent key",), text) is None


@given(text=st.text(max_size=200))
def test_no_text_of_a_file_does_anything_but_load_or_be_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("config") / "prx.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load(path, [], {})
    except ConfigError as error:
        refused = error.message
    else:
        return
    assert refused.startswith(str(path))


@given(
    tables=st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(0, 9), min_size=1), min_size=1),
    broken=st.integers(0, 40),
    rubbish=st.sampled_from(["port =", "[gateway", "= 3", '"""', "x = [", "\0", "a = 1 2"]),
)
def test_a_broken_line_costs_no_more_than_what_follows_it_in_its_table(
    tmp_path_factory: pytest.TempPathFactory,
    tables: dict[str, dict[str, int]],
    broken: int,
    rubbish: str,
) -> None:
    path = tmp_path_factory.mktemp("config") / "prx.toml"
    lines = [
        line
        for table, keys in tables.items()
        for line in (f"[{table}]", *(f"{key} = {value}" for key, value in keys.items()))
    ]
    whole = read(written(path, "\n".join(lines))).tree
    assert salvage(path) == Layer(str(path), whole)
    at = min(broken, len(lines))
    table = ([line for line in lines[:at] if line.startswith("[")] or [""])[-1]
    left = salvage(written(path, "\n".join([*lines[:at], rubbish, *lines[at:]]))).tree
    lost = {(name, key) for name, keys in whole.items() for key in keys if not holds(left, (name, key))}
    assert all(f"[{name}]" == table for name, _ in lost)
    assert all(
        left[name][key] == value
        for name, keys in whole.items()
        for key, value in keys.items()
        if (name, key) not in lost
    )


@given(text=st.binary(max_size=200))
def test_something_can_be_salvaged_from_any_file(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    path = tmp_path_factory.mktemp("config") / "prx.toml"
    assert salvage(path).tree == {}
    path.write_bytes(text)
    assert isinstance(salvage(path).tree, dict)
