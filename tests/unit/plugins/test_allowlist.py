"""`http_allowlist`: parsed, never compared as text."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prx.core.egress.errors import EgressRefusedError
from prx.core.egress.target import Target
from prx.plugins.allowlist import NO_TARGETS, Allowlist
from prx.plugins.errors import LoadError

SEGMENT = st.text("abcdefgh0123456789-._~", min_size=1, max_size=8).filter(lambda text: text.strip("."))
PATH = st.lists(SEGMENT, max_size=4)
# What URLs are taken apart at, and what is used to have two parsers take them apart differently.
PIECES = [
    *(
        "https://",
        "http://",
        "a.example",
        "evil.example",
        "/",
        "//",
        "v1",
        "admin",
        ".",
        "..",
        "%2e",
        "%2E%2e",
        "%2f",
    ),
    *(
        "%5c",
        "%252e",
        "\\",
        "@",
        ":",
        ":443",
        ":8443",
        "?",
        "#",
        ";",
        "%",
        "%00",
        " ",
        "\t",
        "A.EXAMPLE",
        "[",
        "]",
    ),
]


def allows(entry: str, url: str) -> bool:
    try:
        Allowlist.parse([entry]).admit(Target.parse(url))
    except EgressRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("https://a.example", "https://a.example/x/y?q"),
        ("https://a.example/", "https://a.example"),
        ("https://a.example/*", "https://a.example/x"),
        ("https://A.example:443/", "https://a.EXAMPLE./x"),
        ("https://a.example/v1", "https://a.example/v1"),
        ("https://a.example/v1", "https://a.example/v1/x"),
        ("https://a.example/v1/", "https://a.example/v1/x"),
        ("https://a.example/v1/*", "https://a.example/v1/x"),
        ("https://a.example/v1", "https://a.example/%76%31/x"),
        ("https://a.example/v1", "https://a.example/x/../v1/y"),
        ("https://a.example/é", "https://a.example/%c3%a9/x"),
        ("http://127.0.0.1:8080/", "http://2130706433:8080/"),
        ("http://[::1]:8080/", "http://[0:0:0:0:0:0:0:1]:8080/"),
        ("https://b\u00fccher.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_an_entry_allows_what_it_means_in_every_spelling(entry: str, url: str) -> None:
    assert allows(entry, url)


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("https://a.example", "https://a.example.evil/"),
        ("https://a.example", "https://a.exampleevil/"),
        ("https://a.example", "https://evil.a.example/"),
        ("https://a.example", "http://a.example/"),
        ("https://a.example", "https://a.example:8443/"),
        ("https://a.example:8443", "https://a.example/"),
        ("https://a.example/v1", "https://a.example/v10"),
        ("https://a.example/v1", "https://a.example/v1.1"),
        ("https://a.example/v1", "https://a.example/"),
        ("https://a.example/v1", "https://a.example/V1/x"),
        ("https://a.example/v1", "https://a.example//v1/x"),
        ("https://a.example/v1", "https://a.example/v1/../admin"),
        ("https://a.example/v1", "https://a.example/v1/%2e%2e/admin"),
        ("https://a.example/v1", "https://a.example/v1%2fx"),
        ("https://a.example/v1", "https://a.example/v1;x/y"),
        ("https://a.example/v1", "https://a.example/?/v1/"),
        ("https://a.example/a%2fb", "https://a.example/a/b"),
    ],
)
def test_an_entry_allows_nothing_that_only_looks_like_it(entry: str, url: str) -> None:
    assert not allows(entry, url)


@given(entry=PATH, path=PATH)
def test_a_path_is_allowed_when_its_first_segments_are_the_entry_s(entry: list[str], path: list[str]) -> None:
    allowed = allows("https://a.example/" + "/".join(entry), "https://a.example/" + "/".join(path))
    assert allowed == (path[: len(entry)] == entry)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@example("https://a.example/v1/..%2f..%2fadmin")
def test_whatever_is_allowed_is_sent_below_the_entry(url: str) -> None:
    for text in (url, f"https://a.example{url}", f"https://a.example/v1{url}"):
        try:
            target = Target.parse(text)
            Allowlist.parse(["https://a.example/v1"]).admit(target)
        except EgressRefusedError:
            continue
        assert re.fullmatch(r"https://a\.example/v1([/?].*)?", str(target))
        assert ".." not in re.split(r"[/\\]", unquote(unquote(target.path)))


@given(
    st.one_of(st.text(max_size=30), st.lists(st.sampled_from([*PIECES, "*", "/*"]), max_size=8).map("".join))
)
def test_any_text_is_an_entry_or_a_load_error(text: str) -> None:
    try:
        entries = Allowlist.parse([text]).entries
    except LoadError:
        return
    assert "*" not in str(entries[0])
    assert entries[0].query is None
    Allowlist(entries).admit(entries[0])


def test_an_empty_list_allows_nothing_and_says_what_would() -> None:
    with pytest.raises(EgressRefusedError) as refused:
        NO_TARGETS.admit(Target.parse("https://a.example/v1/x?token=hunter2"))
    assert refused.value.message == (
        "https://a.example/v1/x is not on the plugin's http_allowlist, which allows nothing: add "
        '"https://a.example/" or a longer prefix of the URL to [permissions] http_allowlist in plugin.toml'
    )


def test_a_long_list_is_not_told_in_full() -> None:
    entries = Allowlist.parse([f"https://a{number}.example" for number in range(9)])
    with pytest.raises(EgressRefusedError, match=r"a4\.example/ and more: add"):
        entries.admit(Target.parse("https://b.example/"))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("*", "stands only at the end"),
        ("https://*.example.com/", "name each host"),
        ("https://*/", "name each host"),
        ("https://a.example/v1*", "stands only at the end"),
        ("https://a.example/*/x", "stands only at the end"),
        ("https://a.example/**", "stands only at the end"),
        ("a.example", "begin it with https://"),
        ("", "begin it with https://"),
        ("https://a.example/?q", "leave out"),
        ("https://a.example/#f", "leave out"),
        ("https://user:pass@a.example/", "user name"),
        ("ws://a.example/", "only http and https"),
        ("https://a.example/..%2f", "dot segment"),
    ],
)
def test_an_entry_that_means_something_else_is_a_load_error_that_names_it(entry: str, why: str) -> None:
    with pytest.raises(LoadError, match=why) as refused:
        Allowlist.parse(["https://ok.example/", entry])
    assert f'http_allowlist: "{entry}": ' in refused.value.message
