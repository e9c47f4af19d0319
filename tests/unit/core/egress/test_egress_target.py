"""URLs: one form for every spelling, and no spelling that a server might read otherwise."""

import re
from ipaddress import IPv6Address
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from prx.core.egress.addresses import parse_host
from prx.core.egress.errors import EgressRefusedError
from prx.core.egress.target import Target

SEGMENTS = st.lists(st.sampled_from(["a", "b", "", ".", "..", "%2e", "%2E%2e", ".%2E", "c%20d", "é", "x;y"]))


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/", "https://example.com/"),
        ("http://example.com:80", "http://example.com/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("http://example.com:/x", "http://example.com/x"),
        ("https://example.com?q", "https://example.com/?q"),
        ("https://example.com#f", "https://example.com/"),
        ("https://example.com/a?b=c#d?e", "https://example.com/a?b=c"),
        ("https://example.com/%7euser/%41", "https://example.com/~user/A"),
        ("https://example.com/a%2fb%3f", "https://example.com/a%2Fb%3F"),
        ("https://example.com/é?ü=\U0001f600", "https://example.com/%C3%A9?%C3%BC=%F0%9F%98%80"),
        ("https://example.com/a/./b/../c", "https://example.com/a/c"),
        ("https://example.com/../../etc", "https://example.com/etc"),
        ("https://example.com/a/..", "https://example.com/"),
        ("https://example.com/a/%2E%2e/b/.", "https://example.com/b/"),
        ("https://example.com/a//../b", "https://example.com/a/b"),
        ("https://2130706433:8443/x", "https://127.0.0.1:8443/x"),
        ("https://[::FFFF:7f00:1]/", "https://127.0.0.1/"),
        ("https://[2001:DB8::1]:8080/", "https://[2001:db8::1]:8080/"),
    ],
)
def test_a_url_has_one_form(url: str, canonical: str) -> None:
    assert str(Target.parse(url)) == canonical
    assert Target.parse(canonical) == Target.parse(url)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "not absolute"),
        ("example.com/x", "not absolute"),
        ("//example.com/x", "not absolute"),
        ("/x", "not absolute"),
        ("https:example.com", "not absolute"),
        ("ftp://example.com/", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("gopher://example.com/", "only http and https"),
        ("https:///x", "no host"),
        ("https://:443/", "no host"),
        ("https://user@example.com/", "user name"),
        ("https://user:pass@example.com/", "user name"),
        ("https://allowed.example@evil.example/", "user name"),
        ("https://evil.example:@allowed.example/", "user name"),
        ("https://@example.com/", "user name"),
        ("https://example.com\\@evil.example/", "character"),
        ("https://example.com\\.evil.example/", "character"),
        ("https:\\\\example.com/", "character"),
        (" https://example.com/", "character"),
        ("https://example.com/ ", "character"),
        ("https://exam\tple.com/", "character"),
        ("https://example.com/\r\nHost: evil.example", "character"),
        ("https://example.com/\x00", "character"),
        ("https://example.com/\x85", "character"),
        ("https://example.com/\ud800", "character"),
        ("https://::1/", "brackets"),
        ("https://[::1/", "brackets"),
        ("https://[::1]x/", "brackets"),
        ("https://example.com:0/", "port"),
        ("https://example.com:65536/", "port"),
        ("https://example.com:443:80/", "brackets"),
        ("https://example.com:8o/", "brackets"),
        ("https://example.com:000000443/", "brackets"),
        ("https://exa%6dple.com/", "'%'"),
        ("https://example.com/%", "begins no escape"),
        ("https://example.com/%4", "begins no escape"),
        ("https://example.com/?%zz", "begins no escape"),
        ("https://example.com/a/..%2fb", "dot segment"),
        ("https://example.com/a/..%5cb", "dot segment"),
        ("https://example.com/a/%252e%252e/b", "dot segment"),
        ("https://example.com/a/%25252e%25252e%25252fb", "dot segment"),
        ("https://example.com/a/..;/b", "dot segment"),
        ("https://example.com/a/..%00/b", "dot segment"),
        ("https://example.com/a/%20../b", "dot segment"),
        ("https://example.com/%" + "25" * 20 + "41", "dot segment"),
        ("https://example.com/" + "x" * 9000, "characters"),
    ],
)
def test_what_is_no_plain_url_is_refused_and_the_message_says_why(url: str, why: str) -> None:
    with pytest.raises(EgressRefusedError, match=why):
        Target.parse(url)


@given(SEGMENTS)
@example(["..", "a", "%2e%2e", ".."])
def test_no_path_climbs_and_normalising_twice_is_normalising_once(segments: list[str]) -> None:
    target = Target.parse("https://example.com/" + "/".join(segments))
    assert target.path.startswith("/")
    assert not {".", ".."} & set(unquote(target.path).split("/"))
    assert Target.parse(str(target)) == target


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_a_segment_arrives_as_it_was_escaped(segment: str) -> None:
    try:
        target = Target.parse(
            f"https://example.com/a/{quote(segment, safe='')}/b?q={quote(segment, safe='')}"
        )
    except EgressRefusedError as error:
        hidden = re.split(r"[/\\]", unquote(unquote(unquote(segment))))
        if any(part.partition(";")[0].strip("".join(map(chr, range(33)))) in {".", ".."} for part in hidden):
            return
        raise AssertionError(segment) from error
    assert target.query is not None
    assert unquote(target.query) == f"q={segment}"
    if segment not in {".", ".."}:
        assert unquote(target.path) == f"/a/{segment}/b"


@given(st.text(max_size=60))
def test_any_text_is_refused_or_has_a_form_that_is_its_own(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com/{text}"):
        try:
            target = Target.parse(url)
        except EgressRefusedError:
            continue
        assert str(target).isascii()
        assert str(target).isprintable()
        assert " " not in str(target)
        assert Target.parse(str(target)) == target


PIECES = [
    *(
        "http://",
        "https://",
        "a.example",
        "127.0.0.1",
        "0x7f.1",
        "[::1]",
        "[",
        "]",
        "/",
        "//",
        "\\",
        "@",
        ":",
        ":80",
    ),
    *(
        "?",
        "#",
        ";",
        "%",
        "%2f",
        "%40",
        "%5b",
        ".",
        "..",
        "é",
        "\u3002",
        "\uff0f",
        "\u2100",
        "\t",
        " ",
        "\x00",
        "x",
    ),
]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@example("a.example\uff0f@evil.example")
@example("a.example\u2100evil.example")
def test_other_parsers_find_the_same_host_in_what_is_accepted(rest: str) -> None:
    url = f"http://{rest}"
    try:
        target = Target.parse(url)
    except EgressRefusedError:
        return
    host = urlsplit(url).hostname
    assert host is not None
    assert parse_host(f"[{host}]" if ":" in host else host) == target.host
    assert (urlsplit(url).port or 80) == target.port
    assert URL(str(target)).raw_host == str(target.host)
    assert str(URL(str(target), encoded=True)) == str(target)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/x", "https://example.com/x"),
        ("x", "https://example.com/a/x"),
        ("../x", "https://example.com/x"),
        ("?x", "https://example.com/a/b?x"),
        ("//evil.example/x", "https://evil.example/x"),
        ("http://127.1/", "http://127.0.0.1/"),
    ],
)
def test_a_redirect_is_followed_from_where_it_came(location: str, expected: str) -> None:
    assert str(Target.parse("https://example.com/a/b?q").follow(location)) == expected


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "https://u@evil.example/", "/a\tb", "\nhttp://evil.example", "/\udcff", "\\x"],
)
def test_a_redirect_to_what_is_no_plain_url_is_refused(location: str) -> None:
    with pytest.raises(EgressRefusedError):
        Target.parse("https://example.com/a/b").follow(location)


def test_what_is_shown_leaves_the_query_out() -> None:
    target = Target.parse("https://example.com:8443/a?token=hunter2")
    assert target.shown == "https://example.com:8443/a"
    assert target.origin == "https://example.com:8443"
    assert target.authority == "example.com:8443"
    assert not target.is_literal


def test_a_query_is_replaced_and_checked() -> None:
    target = Target.parse("https://[2001:db8::1]/a?b")
    assert str(target.with_query("c=d e".replace(" ", "%20"))) == "https://[2001:db8::1]/a?c=d%20e"
    assert target.with_query(None).query is None
    assert target.host == IPv6Address("2001:db8::1")
    with pytest.raises(EgressRefusedError, match="query"):
        target.with_query("a\r\nb")
