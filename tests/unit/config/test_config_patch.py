"""Changing keys: into the overlay, all or none, and everything that is wrong told by its key."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.config.keys import dotted, leaves
from prx.config.patch import MAX_KEYS, Outcome, patch
from prx.config.redaction import MASK, shown
from prx.config.schema import Config
from prx.config.sources import Sources
from prx.core.errors import BadRequestError, ConflictError, UnavailableError

ENVIRONMENT = {"PRX__DAEMON__LOG_LEVEL": "warn"}


class Home:
    """A configuration file and the data directory that the overlay lies in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "prx.toml"
        self.file.write_text("")

    def write(self, text: str) -> None:
        self.file.write_text(text)

    @property
    def sources(self) -> Sources:
        """What a new process reads."""
        return Sources(self.file, (), {"PRX__DAEMON__DATA_DIR": str(self.path / "data"), **ENVIRONMENT})

    @property
    def overlay(self) -> Path:
        return self.path / "data" / "overlay.toml"

    def patch(self, changes: dict[str, Any]) -> Outcome:
        return patch(self.sources, changes).outcome

    def config(self) -> Config:
        return self.sources.load().config

    def refusal(self, changes: dict[str, Any]) -> dict[str, str]:
        """Return what is wrong by key, after checking that nothing was changed."""
        before = self.overlay.read_bytes() if self.overlay.exists() else None
        with pytest.raises(BadRequestError) as caught:
            self.patch(changes)
        assert (self.overlay.read_bytes() if self.overlay.exists() else None) == before
        assert caught.value.details is not None
        return {error["field"]: error["message"] for error in caught.value.details["errors"]}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_value_of_each_kind_is_written_and_read_again(home: Home) -> None:
    home.patch(
        {
            "memory.min_relevance_score": 0.25,
            "gateway.allowed_hosts": ["a", "b"],
            "plugins.allow_private_targets": True,
            "agent.system_prompt": 'three\nlines\nand "quotes"',
            "mcp.servers.files": {"command": "serve", "env": {"A": "b"}},
            "hooks.endpoints": [{"url": "http://a/", "events": ["tool.executed"]}],
            'plugins.settings."my.plugin".config': {"the.key": "v"},
            "channels_config.x": {},
        }
    )
    config = home.config()
    assert config.memory.min_relevance_score == 0.25
    assert config.gateway.allowed_hosts == ("a", "b")
    assert config.plugins.allow_private_targets is True
    assert config.agent.system_prompt == 'three\nlines\nand "quotes"'
    assert config.mcp.servers["files"].env["A"].get_secret_value() == "b"
    assert config.hooks.endpoints[0].events == ("tool.executed",)
    assert config.plugins.settings["my.plugin"].config == {"the.key": "v"}
    assert set(config.channels_config) == {"x"}


def test_the_overlay_is_for_its_owner_alone_and_nothing_else_is_left_behind(home: Home) -> None:
    os.umask(os.umask(0))
    home.patch({"memory.top_k": 3})
    assert stat.S_IMODE(home.overlay.stat().st_mode) == 0o600
    assert sorted(path.name for path in home.overlay.parent.iterdir()) == ["overlay.lock", "overlay.toml"]
    assert home.file.read_text() == ""


def test_null_takes_a_key_out_and_the_file_counts_again(home: Home) -> None:
    home.write("[memory]\ntop_k = 7\n")
    home.patch({"memory.top_k": 3, "agent.max_turns": 3})
    outcome = home.patch({"memory.top_k": None})
    assert outcome.results == {"memory.top_k": "applied"}
    assert (home.config().memory.top_k, home.config().agent.max_turns) == (7, 3)
    home.patch({"agent": None, "provider.model": None})
    assert "[" not in home.overlay.read_text()


def test_a_table_is_merged_and_null_in_it_takes_keys_out(home: Home) -> None:
    home.patch({"plugins.settings.w.config": {"a": "1", "b": "2"}})
    home.patch({"plugins.settings.w.config": {"b": None, "c": "3"}, "gateway": {"rate_limits": {"other": 1}}})
    assert home.config().plugins.settings["w"].config == {"a": "1", "c": "3"}
    assert home.config().gateway.rate_limits.other == 1


def test_every_wrong_key_is_told_with_what_was_expected(home: Home) -> None:
    assert home.refusal(
        {
            "memory.top_k": 3,
            "gateway.port": 70000,
            "gateway.prot": 1,
            "max_turns": 1,
            "plugins.auto_grant": ["kv", "root"],
            "daemon.log_level": "loud",
            "gateway.allowed_hosts": "a",
            "mcp.servers.x": {"comand": "y"},
            "hooks.endpoints.0.url": "http://a",
            "a..b": 1,
            "provider.api_key": 12345,
            "agent": 5,
            "daemon.data_dir": "~no-such-user-here/x",
            "channels_config.x.rooms": [None],
            "memory.retention_days": {"a": 1},
        }
    ) == {
        "gateway.port": "expected integer, at least 0, at most 65535, not 70000",
        "gateway.prot": 'unknown key; did you mean "gateway.port"?',
        "max_turns": 'unknown key; did you mean "agent.max_turns"?',
        "plugins.auto_grant": "1: expected one of log, config, clock, kv, http-outbound, memory, events, filesystem, "
        'env, not "root"',
        "daemon.log_level": 'expected one of trace, debug, info, warn, error, not "loud"',
        "gateway.allowed_hosts": 'expected list of text, not "a"',
        "mcp.servers.x": 'comand: unknown key; did you mean "mcp.servers.x.command"?',
        "hooks.endpoints.0.url": "stands inside a list: send the whole of hooks.endpoints",
        "a..b": 'no key: one is up to 16 names joined by "."; a name with anything but letters, digits, "_" and "-" '
        'stands in quotes, as in plugins.settings."my.plugin".tool_prefix',
        "provider.api_key": "expected secret text",
        "agent": "expected a table",
        "daemon.data_dir": "nobody of that name has a home directory here",
        "channels_config.x.rooms": "has null inside a list, which a configuration cannot hold",
        "memory.retention_days": "expected integer, at least 1",
    }


def test_what_does_not_go_together_counts_against_the_keys_that_were_sent(home: Home) -> None:
    refused = home.refusal({"gateway.host": "0.0.0.0", "memory.top_k": 3})  # noqa: S104  # refused
    assert list(refused) == ["gateway.host"]
    assert "can be reached from outside" in refused["gateway.host"]
    assert list(home.refusal({"mcp.servers.x.enabled": True})) == ["mcp.servers.x.enabled"]


def test_a_webhook_that_the_api_would_not_register_is_refused_with_the_same_reason(home: Home) -> None:
    endpoints = [
        {"url": "ftp://example.com"},
        {"url": "https://example.com", "events": ["*", "session.begun"]},
        {"url": "https://example.com", "secret": "hunter2"},
    ]
    for endpoint, said in zip(
        endpoints,
        ["0.url: the URL's scheme", "0.events.1: no such event", "0.secret: a secret is"],
        strict=True,
    ):
        assert said in home.refusal({"hooks.endpoints": [endpoint]})["hooks.endpoints"]
    nothing = [{"url": "https://example.com", "events": []}]
    assert "at least 1 long" in home.refusal({"hooks.endpoints": nothing})["hooks.endpoints"]
    private = {"hooks.endpoints": [{"url": "https://example.com"}, {"url": "http://10.0.0.7/in"}]}
    assert home.refusal(private)["hooks.endpoints"].startswith("endpoints.1.url: http://10.0.0.7 is refused")
    home.patch(private | {"hooks.allow_private_targets": True})
    assert list(home.refusal({"hooks.allow_private_targets": False})) == ["hooks.allow_private_targets"]


def test_a_wrong_value_is_refused_also_where_a_later_layer_hides_it(home: Home) -> None:
    assert list(home.refusal({"daemon.log_level": "loud"})) == ["daemon.log_level"]
    assert home.patch({"daemon.log_level": "info"}).hidden == {"daemon.log_level": "PRX__DAEMON__LOG_LEVEL"}


def test_keys_that_overlap_are_refused_whatever_their_order(home: Home) -> None:
    assert list(home.refusal({"agent.max_turns": 5, "agent": {"max_turns": 6}})) == ["agent.max_turns"]
    assert list(home.refusal({"agent.max_turns": 5, 'agent."max_turns"': 6})) == ["agent.max_turns"]


def test_too_many_keys_and_too_much_text_are_refused(home: Home) -> None:
    with pytest.raises(BadRequestError, match="too many at once"):
        home.patch({f"channels_config.x.k{n}": n for n in range(MAX_KEYS + 1)})
    with pytest.raises(BadRequestError, match="larger than 1 MiB"):
        home.patch({"agent.system_prompt": "a" * (1 << 20)})
    assert not home.overlay.exists()


def test_a_key_that_this_version_does_not_know_can_be_taken_out(home: Home) -> None:
    home.patch({"memory.top_k": 3})
    home.overlay.write_text("[old]\nkey = 1\n[memory]\ntop_k = 3\n")
    with pytest.raises(ConflictError, match=r"overlay\.toml:1: old: unknown key"):
        home.patch({"memory.top_k": 4})
    home.patch({"old.key": None})
    assert home.config().memory.top_k == 3


def test_an_overlay_that_others_may_read_is_not_used(home: Home) -> None:
    home.patch({"memory.top_k": 3})
    home.overlay.chmod(0o644)
    with pytest.raises(ConflictError, match="others may read or write it: chmod 600"):
        home.patch({"memory.top_k": 4})


def test_an_overlay_that_cannot_be_written_changes_nothing_and_says_why(home: Home) -> None:
    (home.path / "data" / "overlay.lock").mkdir(parents=True)
    with pytest.raises(UnavailableError, match="cannot be written: Is a directory; make room or make it"):
        home.patch({"memory.top_k": 4})


def test_the_overlay_stays_where_it_was_when_it_sets_another_data_directory(home: Home) -> None:
    home.file.write_text(f"[daemon]\ndata_dir = '{home.path}/data'\n")
    sources = Sources(home.file, (), {})
    outcome = patch(sources, {"daemon.data_dir": str(home.path / "other"), "memory.top_k": 3}).outcome
    assert outcome.results["daemon.data_dir"] == "restart_required"
    for _ in range(2):
        config = Sources(home.file, (), {}).load().config
        assert (config.daemon.data_dir, config.memory.top_k) == (home.path / "other", 3)


SECRETIVE = """
[provider]
api_key = "old-secret"
base_url = "https://user:pass@example.com/v1"
[channels_config.x]
bot_token = "env:HOME"
[mcp.servers.s]
command = "c"
env = { A = "a-secret", B = "b-secret" }
[[hooks.endpoints]]
url = "https://one/?token=t"
secret = "whsec_b25l"
[[hooks.endpoints]]
url = "https://two/?token=t"
secret = "whsec_dHdv"
"""


def test_the_mask_sent_back_leaves_the_value_alone(home: Home) -> None:
    home.write(SECRETIVE)
    outcome = home.patch(
        {
            "provider.api_key": MASK,
            "channels_config.x": {"bot_token": MASK, "enabled": False},
            "mcp.servers.s.env": {"A": MASK, "B": "new"},
            "provider.base_url": f"https://{MASK}@example.com/v1",
        }
    )
    assert outcome.updated == ["channels_config.x", "mcp.servers.s.env"]
    config = home.config()
    assert config.provider.api_key is not None
    assert config.provider.api_key.get_secret_value() == "old-secret"
    assert config.provider.base_url == "https://user:pass@example.com/v1"
    env = config.mcp.servers["s"].env
    assert (env["A"].get_secret_value(), env["B"].get_secret_value()) == ("a-secret", "new")
    assert config.channels_config["x"].enabled is False
    assert "secret" not in home.overlay.read_text()


def test_a_request_of_masks_alone_writes_nothing(home: Home) -> None:
    assert home.patch({"provider.api_key": MASK, "mcp.servers.s.env": {"A": MASK}}) == Outcome()
    assert not home.overlay.exists()


def test_an_element_of_a_list_keeps_its_secret_only_where_it_is_sent_as_it_was_shown(home: Home) -> None:
    home.write(SECRETIVE)
    one, two = shown(home.config())["hooks"]["endpoints"]
    home.patch({"hooks.endpoints": [two, {"url": "https://three/"}]})
    endpoints = home.config().hooks.endpoints
    assert [endpoint.url for endpoint in endpoints] == ["https://two/?token=t", "https://three/"]
    assert endpoints[0].secret is not None
    assert endpoints[0].secret.get_secret_value() == "whsec_dHdv"
    home.patch({"hooks.endpoints": None})
    moved = {**one, "url": "https://elsewhere/"}
    assert list(home.refusal({"hooks.endpoints": [moved, two]})) == ["hooks.endpoints"]


@pytest.mark.parametrize("value", [f"https://{MASK}@elsewhere/v1", f"x{MASK}"])
def test_a_mask_that_stands_for_nothing_is_refused(home: Home, value: str) -> None:
    home.write(SECRETIVE)
    assert "stands for no value here" in home.refusal({"provider.base_url": value})["provider.base_url"]


def test_the_whole_configuration_sent_back_changes_nothing(home: Home) -> None:
    home.write(SECRETIVE)
    before = home.config()
    home.patch({dotted(key): value for key, value in leaves(json.loads(json.dumps(shown(before))))})
    assert home.config().model_dump() == before.model_dump()


NAMES = st.text(st.characters(codec="utf-8"), max_size=6)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=10).filter(lambda text: not text.startswith("env:"))
KEYS = (
    st.sampled_from([("agent", "max_turns"), ("memory", "top_k"), ("agent", "system_prompt")])
    | st.just(("gateway", "allowed_hosts"))
    | st.tuples(NAMES, NAMES).map(lambda names: ("plugins", "settings", names[0], "config", names[1]))
    | NAMES.map(lambda name: ("channels_config", name, "rooms"))
)
VALUES = st.none() | st.integers(1, 1000) | TEXTS | st.lists(TEXTS, max_size=3)


@given(requests=st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), max_size=4))
def test_each_request_is_made_whole_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, requests: list[dict[tuple[str, ...], Any]]
) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    first = home.config().model_dump()
    for request in requests:
        before = home.config().model_dump()
        changes = {dotted(key): value for key, value in request.items()}
        try:
            outcome = home.patch(changes)
        except BadRequestError:
            assert home.config().model_dump() == before
            continue
        assert outcome.updated == list(changes)
        written = dict(leaves(home.sources.read().overlay.tree))
        assert {key: written.get(key) for key in request} == request
    home.patch({dotted(key): None for key, _ in leaves(home.sources.read().overlay.tree)} or {"memory": None})
    assert home.config().model_dump() == first
