"""Redaction: no secret of any configuration is in anything that is shown, told or refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from prx.config.keys import leaves
from prx.config.origins import origins
from prx.config.patch import patch
from prx.config.redaction import MASK, shown, without_credentials, without_userinfo
from prx.config.schema import Config
from prx.config.sources import Sources
from prx.core.errors import PrxError

CANARY = "hunter2canary"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pass@host/x", f"https://{MASK}@host/x"),
        ("https://token@host", f"https://{MASK}@host"),
        ("https://u:p@ss@host/", f"https://{MASK}@host/"),
        ("//u:p@host", f"//{MASK}@host"),
        ("HTTP:///u:p@host", f"HTTP:///{MASK}@host"),
        ("see http://u:p@a/ and ftp://b:c@d", f"see http://{MASK}@a/ and ftp://{MASK}@d"),
        ("https://host/@name", "https://host/@name"),
        ("https://host/?mail=a@b", "https://host/?mail=a@b"),
        ("somebody@example.com", "somebody@example.com"),
    ],
)
def test_userinfo_is_masked_in_each_url_of_a_text_and_nothing_else(text: str, expected: str) -> None:
    assert without_userinfo(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://host/mcp?api_key=abc", f"https://host/mcp?api_key={MASK}"),
        ("https://host/?a=1&access-token=x%20y&b=2#c", f"https://host/?a=1&access-token={MASK}&b=2#c"),
        ('see "https://u:p@h/?TOKEN=a", too', f'see "https://{MASK}@h/?TOKEN={MASK}", too'),
        ("https://host/?tokens=5&q=token=x", "https://host/?tokens=5&q=token=x"),
        ("https://host/?apiKey=a&Signature=b", f"https://host/?apiKey={MASK}&Signature={MASK}"),
        ("https://host/?token=", "https://host/?token="),
        ("a == b? token=c", "a == b? token=c"),
    ],
)
def test_parameters_that_are_named_as_secrets_are_masked_in_each_url(text: str, expected: str) -> None:
    assert without_credentials(text) == expected


def test_a_parameter_in_a_configured_url_is_masked_and_can_be_sent_back() -> None:
    url = "https://host/mcp?limit=a&api_key=b"
    tree = shown(Config.model_validate({"mcp": {"servers": {"s": {"url": url}}}}))
    assert tree["mcp"]["servers"]["s"]["url"] == f"https://host/mcp?limit=a&api_key={MASK}"


def test_what_is_not_set_is_shown_as_not_set_and_names_of_secrets_stay() -> None:
    tree = shown(Config.model_validate({"mcp": {"servers": {"s": {"command": "c", "env": {"A": "b"}}}}}))
    assert tree["provider"]["api_key"] is None
    assert tree["mcp"]["servers"]["s"]["env"] == {"A": MASK}


def test_a_table_whose_name_looks_like_a_secret_is_shown() -> None:
    settings = {"store_token": {"tool_prefix": "st_", "config": {"X-Api-Key": "a", "units": "metric"}}}
    tree = shown(Config.model_validate({"plugins": {"settings": settings}}))
    assert tree["plugins"]["settings"]["store_token"] == {
        "tool_prefix": "st_",
        "config": {"X-Api-Key": MASK, "units": "metric"},
        "limits": {},
    }


SECRETS = st.text("ab\"'\\ \n", max_size=3).map(lambda more: CANARY + more)
SECRET_NAMES = st.sampled_from(
    ["token", "bot_token", "API-KEY", "my_secret", "password", "private_key", "x_key"]
)
URLS = st.text("ab:@%", max_size=4).map(lambda more: f"https://u:{CANARY}{more}@example.com/path")
PLAIN = st.text("abc", max_size=3) | st.integers(0, 9)
CHANNELS = st.dictionaries(
    st.text("abc.", max_size=3),
    st.fixed_dictionaries(
        {},
        optional={
            "bot_token": SECRETS,
            "url": URLS,
            "rooms": st.lists(PLAIN | URLS, max_size=2),
            "deep": st.dictionaries(SECRET_NAMES, SECRETS, max_size=2),
            "many": st.lists(st.dictionaries(SECRET_NAMES, SECRETS, max_size=2), max_size=2),
        },
    ),
    max_size=2,
)
SERVERS = st.fixed_dictionaries(
    {"url": URLS},
    optional={
        "headers": st.dictionaries(st.text("abc", min_size=1, max_size=2), SECRETS, max_size=2),
        "env": st.dictionaries(st.text("abc", min_size=1, max_size=2), SECRETS, max_size=2),
        "oauth": st.fixed_dictionaries({"client_secret": SECRETS}),
        "args": st.lists(URLS, max_size=1),
    },
)
ENDPOINTS = st.lists(
    st.fixed_dictionaries(
        {
            "url": URLS | st.just(f"https://example.com/path?token={CANARY}"),
            "secret": SECRETS | st.just(f"whsec_{CANARY}abc"),
        }
    ),
    max_size=2,
)
TREES = st.fixed_dictionaries(
    {},
    optional={
        "provider": st.fixed_dictionaries({}, optional={"api_key": SECRETS, "base_url": URLS}),
        "channels_config": CHANNELS,
        "mcp": st.fixed_dictionaries({"servers": st.dictionaries(st.sampled_from("ab"), SERVERS)}),
        "hooks": st.fixed_dictionaries({"endpoints": ENDPOINTS}),
        "plugins": st.fixed_dictionaries(
            {
                "settings": st.dictionaries(
                    st.sampled_from(["a", "b.c"]),
                    st.fixed_dictionaries({"config": st.dictionaries(SECRET_NAMES, SECRETS, max_size=2)}),
                )
            }
        ),
        "agent": st.fixed_dictionaries({"system_prompt": URLS}),
    },
)


def spoiled(tree: Any, place: int) -> Any:
    """Return a copy of `tree` in which one value is a number, which is wrong almost everywhere."""
    keys = [key for key, _ in leaves(tree)]
    if not keys:
        return tree
    copy = json.loads(json.dumps(tree))
    inner, key = copy, keys[place % len(keys)]
    for part in key[:-1]:
        inner = inner[part]
    inner[key[-1]] = [inner[key[-1]], 1]
    return copy


@given(tree=TREES, changes=TREES, place=st.integers(0, 50))
def test_no_secret_of_any_configuration_shows_anywhere(
    tmp_path_factory: pytest.TempPathFactory, tree: Any, changes: Any, place: int
) -> None:
    home = tmp_path_factory.mktemp("home")
    outputs = [repr(parts) for parts in everything_told(home, tree, changes)]
    outputs += [repr(parts) for parts in everything_told(home, spoiled(tree, place), spoiled(changes, place))]
    assert [output for output in outputs if CANARY in output] == []


def everything_told(home: Path, tree: Any, changes: Any) -> list[Any]:
    """Return whatever a reader of the configuration is told about it and about an attempt to change it."""
    file = home / "prx.toml"
    file.write_text(tomli_w.dumps(tree))
    sources = Sources(file, (), {"PRX__DAEMON__DATA_DIR": str(home)})
    told: list[Any] = []
    try:
        loaded = sources.load()
        told += [shown(loaded.config), origins(loaded.layers, loaded.config, loaded.config)]
        told.append(patch(sources, changes).outcome)
    except PrxError as error:
        told.append((error.message, error.details))
    return told
