"""Placeholders: the guest's side of a secret; values only in what leaves."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.egress.target import Target
from prx.core.errors import ForbiddenError, NotFoundError
from prx.plugins.errors import LoadError
from prx.plugins.placeholders import NO_SECRETS, SealedConfig, seal
from prx.plugins.secrets import SecretStore

VALUE = 'h&nter2 "is" no/secret é'
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    store = SecretStore(tmp_path)
    store.set("KEY", VALUE)
    return store


@pytest.fixture
def sealed(store: SecretStore) -> SealedConfig:
    return seal("weather", {"key": "secret:KEY", "units": "metric"}, store, ())


def of(value: str) -> tuple[SealedConfig, str]:
    """Return a configuration with one secret of `value`, and its placeholder."""
    name = "prx-secret-" + "0" * 32
    return SealedConfig({"key": name}, {name: lambda: value}), name


def test_the_guest_sees_a_placeholder_and_everything_else_as_it_is(sealed: SealedConfig) -> None:
    assert sealed.shown["units"] == "metric"
    assert sealed.shown["key"].startswith("prx-secret-")
    assert VALUE not in str(dict(sealed.shown))


def test_no_two_placeholders_are_alike(store: SecretStore) -> None:
    config = {"a": "secret:KEY", "b": "secret:KEY"}
    shown = [value for _ in range(2) for value in seal("weather", config, store, ()).shown.values()]
    assert len(set(shown)) == 4


def test_a_placeholder_survives_every_part_of_a_url_and_json(sealed: SealedConfig) -> None:
    name = sealed.shown["key"]
    assert Target.parse(f"https://a.example/?q={quote(name, safe='')}").query == f"q={name}"
    assert json.dumps(name) == f'"{name}"'


def test_a_variable_that_was_revoked_is_not_disclosed_any_more(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEATHER_KEY", "v")
    sealed = seal("weather", {"key": "env:WEATHER_KEY"}, store, {"WEATHER_KEY"})
    assert sealed.disclosure().in_header(sealed.shown["key"]) == "v"
    sealed.readable = ()
    with pytest.raises(ForbiddenError, match="may not read the variable WEATHER_KEY any more"):
        sealed.disclosure().in_header(sealed.shown["key"])


def test_headers_get_the_value(sealed: SealedConfig) -> None:
    disclosure = sealed.disclosure()
    assert disclosure.in_header(f"Bearer {sealed.shown['key']}, x") == f"Bearer {VALUE}, x"
    assert disclosure.in_header("Bearer prx-secret-" + "0" * 32) == "Bearer prx-secret-" + "0" * 32


def test_basic_credentials_get_the_value_inside_of_their_base64(sealed: SealedConfig) -> None:
    encoded = base64.b64encode(f"user:{sealed.shown['key']}".encode()).decode()
    disclosure = sealed.disclosure()
    sent = disclosure.in_header(f"Basic {encoded}")
    assert base64.b64decode(sent.removeprefix("Basic ")).decode() == f"user:{VALUE}"
    assert disclosure.hide_in(f"got {sent}") == f"got Basic {encoded}"


@pytest.mark.parametrize("value", ["Basic !", "Basic /w==", "Basic dXNlcjpwYXNz", "basic"])
def test_other_basic_credentials_stay_as_they_are(value: str, sealed: SealedConfig) -> None:
    assert sealed.disclosure().in_header(value) == value


@given(TEXT)
def test_a_query_holds_the_value_escaped(value: str) -> None:
    sealed, name = of(value)
    query = sealed.disclosure().in_query(f"a=b&key={name}&c={name}x")
    assert query.isascii()
    assert parse_qs(query) == {"a": ["b"], "key": [value], "c": [f"{value}x"]}


@given(TEXT, st.binary(max_size=20))
def test_a_body_holds_the_value_as_its_type_needs_it(value: str, around: bytes) -> None:
    sealed, name = of(value)
    disclosure = sealed.disclosure()
    text = json.dumps({"key": name}).encode()
    assert json.loads(disclosure.in_body(text, "application/json; charset=utf-8")) == {"key": value}
    assert json.loads(disclosure.in_body(text, "application/ld+JSON")) == {"key": value}
    form = disclosure.in_body(f"key={name}".encode(), "application/x-www-form-urlencoded")
    assert parse_qs(form.decode()) == {"key": [value]}
    assert disclosure.in_body(around + name.encode() + around, "") == around + value.encode() + around


@given(TEXT.filter(lambda value: not {"<", ">"} & set(value)))
def test_what_a_server_repeats_does_not_reach_the_guest(value: str) -> None:
    sealed, name = of(value)
    disclosure = sealed.disclosure()
    disclosure.in_header(name)
    plain_json = json.dumps(value, ensure_ascii=False)[1:-1]
    for form in (value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], plain_json):
        assert disclosure.hide_in(f"<{form}>") == f"<{name}>"
        assert disclosure.hide(f"<{form}>".encode() + b"\xff") == f"<{name}>".encode() + b"\xff"


def test_a_secret_that_is_a_part_of_another_hides_nothing_but_itself() -> None:
    names = ["prx-secret-" + digit * 32 for digit in "ab"]
    sources: dict[str, Callable[[], str]] = {names[0]: lambda: "long-e-secret", names[1]: lambda: "e"}
    disclosure = SealedConfig({}, sources).disclosure()
    disclosure.in_header(" ".join(names))
    assert disclosure.hide_in("the long-e-secret") == f"th{names[1]} {names[0]}"


def test_only_what_was_disclosed_is_hidden(sealed: SealedConfig) -> None:
    assert sealed.disclosure().hide_in(VALUE) == VALUE


def test_a_placeholder_is_found_where_no_value_belongs(sealed: SealedConfig) -> None:
    disclosure = sealed.disclosure()
    assert disclosure.named_in(f"https://a.example/{sealed.shown['key']}/x")
    assert not disclosure.named_in("https://a.example/prx-secret-" + "0" * 32)


def test_a_secret_may_be_set_changed_and_removed_while_the_plugin_runs(store: SecretStore) -> None:
    sealed = seal("weather", {"key": "secret:LATER"}, store, ())
    with pytest.raises(NotFoundError, match="prx secret set LATER"):
        sealed.disclosure().in_header(sealed.shown["key"])
    for value in ("one", "two"):
        store.set("LATER", value)
        assert sealed.disclosure().in_header(sealed.shown["key"]) == value


def test_a_secret_of_another_plugin_is_not_put_in(store: SecretStore) -> None:
    store.set("THEIRS", VALUE, ["news"])
    sealed = seal("weather", {"key": "secret:THEIRS"}, store, ())
    with pytest.raises(ForbiddenError, match="not for the plugin"):
        sealed.disclosure().in_header(sealed.shown["key"])


def test_a_variable_is_read_as_a_secret_is(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal("weather", {"key": "env:THE_TOKEN"}, store, {"THE_TOKEN"})
    assert sealed.shown["key"].startswith("prx-secret-")
    with pytest.raises(NotFoundError, match="THE_TOKEN is not set"):
        sealed.disclosure().in_header(sealed.shown["key"])
    monkeypatch.setenv("THE_TOKEN", VALUE)
    assert sealed.disclosure().in_header(sealed.shown["key"]) == VALUE


def test_a_variable_that_the_plugin_may_not_read_is_a_load_error_with_the_ways_out(
    store: SecretStore,
) -> None:
    with pytest.raises(LoadError) as refused:
        seal("weather", {"key": "env:PATH"}, store, ())
    assert refused.value.message == (
        '[config] key: the plugin may not read the variable PATH: set key = "env:PATH" in '
        "[plugins.settings.weather.config] of prx.toml, or list PATH in its env_allowlist and grant it env: "
        "prx plugin grant weather env"
    )


def test_an_unfit_name_of_a_secret_is_a_load_error(store: SecretStore) -> None:
    with pytest.raises(LoadError, match=r'\[config\] key: "a b" is no name of a secret'):
        seal("weather", {"key": "secret:a b"}, store, ())


def test_a_plugin_without_secrets_costs_nothing() -> None:
    disclosure = NO_SECRETS.disclosure()
    name = "prx-secret-" + "0" * 32
    assert disclosure.in_header(name) == disclosure.in_query(name) == disclosure.hide_in(name) == name
    assert disclosure.in_body(b"\xff", "application/json") == b"\xff"
