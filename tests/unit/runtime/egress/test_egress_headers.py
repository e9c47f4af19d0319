"""Headers and methods: what is sent, what is left out, what is refused; no value is ever repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.egress.errors import EgressRefusedError, EgressTooLargeError
from prx.core.egress.target import Target
from prx.runtime.egress.headers import (
    METHODS,
    checked_headers,
    checked_method,
    received_headers,
    with_own_headers,
    without_body_headers,
    without_credentials,
)

TARGET = Target.parse("https://example.com:8443/x")
HIDDEN = "hunter2-is-no-secret"


@pytest.mark.parametrize("method", METHODS)
def test_methods_are_known_in_any_case(method: str) -> None:
    assert checked_method(method.lower()) == method


@pytest.mark.parametrize(
    "method", ["CONNECT", "TRACE", "TRACK", "", "GET /x HTTP/1.1\r\nX: y", "GET ", "G\x00T"]
)
def test_other_methods_are_refused(method: str) -> None:
    with pytest.raises(EgressRefusedError, match="use one of GET"):
        checked_method(method)


def test_headers_go_out_as_they_are_in_order_and_repeated() -> None:
    headers = [("X-B", " 1\t"), ("x-a", "é"), ("X-B", "2"), ("Authorization", "Bearer x"), ("Cookie", "a=b")]
    assert checked_headers(headers, TARGET) == [(name, value.strip()) for name, value in headers]


@pytest.mark.parametrize(
    "name", ["Connection", "keep-alive", "Content-Length", "Accept-Encoding", "TE", "Host"]
)
def test_what_belongs_to_the_client_is_left_out(name: str) -> None:
    value = "example.com:8443" if name == "Host" else "gzip, br"
    assert checked_headers([(name, value), ("X", "y")], TARGET) == [("X", "y")]


@pytest.mark.parametrize(
    "name",
    [
        "Transfer-Encoding",
        "trailer",
        "UPGRADE",
        "Expect",
        "HTTP2-Settings",
        "Proxy-Authorization",
        "proxy-connection",
    ],
)
def test_what_would_change_the_framing_is_refused(name: str) -> None:
    with pytest.raises(EgressRefusedError, match=f"the header {name} is refused") as refused:
        checked_headers([(name, HIDDEN)], TARGET)
    assert HIDDEN not in refused.value.message


def test_a_host_header_may_not_say_another_host() -> None:
    with pytest.raises(EgressRefusedError, match=r"Host is refused: it is example\.com:8443"):
        checked_headers([("Host", "internal.example")], TARGET)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nHost", "é", ":authority", "a\x00", "a\t"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(EgressRefusedError, match="no name of a header"):
        checked_headers([(name, "x")], TARGET)


@pytest.mark.parametrize("character", ["\r", "\n", "\r\n", "\x00", "\x0b", "\x1b", "\x7f", "\ud800"])
def test_a_value_is_one_line_and_is_not_repeated_in_the_message(character: str) -> None:
    with pytest.raises(EgressRefusedError, match="the header X-Key holds a control character") as refused:
        checked_headers([("X-Key", f"{HIDDEN}{character}Host: evil.example")], TARGET)
    assert HIDDEN not in refused.value.message


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_is_sent_stays_on_one_line(name: str, value: str) -> None:
    try:
        sent = checked_headers([(name, value)], TARGET)
    except EgressRefusedError:
        return
    lines = "\r\n".join(f"{name}: {value}" for name, value in sent).encode()
    assert len(lines.splitlines()) <= 1
    assert b"\0" not in lines


@pytest.mark.parametrize("headers", [[("X", "y")] * 101, [("X", "y" * 70_000)]])
def test_there_is_room_for_many_headers_and_not_for_any_number(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(EgressRefusedError, match="too many headers"):
        checked_headers(headers, TARGET)


def test_the_client_adds_its_own_unless_the_caller_has_them() -> None:
    own = dict(with_own_headers([], TARGET))
    assert own["Host"] == "example.com:8443"
    assert own["Accept-Encoding"] == "gzip"
    assert own["User-Agent"].startswith("prx/")
    sent = with_own_headers([("user-agent", "mine"), ("Accept", "text/plain")], TARGET)
    assert [name for name, _ in sent] == ["Host", "Accept-Encoding", "user-agent", "Accept"]


def test_to_another_origin_go_only_headers_that_are_no_credentials() -> None:
    headers = [("Authorization", "a"), ("cookie", "b"), ("X-Api-Key", "c"), ("Accept", "d"), ("Range", "e")]
    assert without_credentials(headers) == [("Accept", "d"), ("Range", "e")]


def test_a_request_without_its_body_does_not_describe_one() -> None:
    headers = [("Content-Type", "a"), ("content-encoding", "b"), ("Accept", "d")]
    assert without_body_headers(headers) == [("Accept", "d")]


def test_received_headers_are_lower_case_text_without_those_of_the_connection() -> None:
    raw = [
        (b"Content-Type", b"text/plain"),
        (b"Set-Cookie", b"a=b"),
        (b"Set-Cookie", b"c=d"),
        (b"X-Odd", b"\xff"),
        (b"Connection", b"close"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Encoding", b"gzip"),
        (b"Content-Length", b"7"),
    ]
    kept = [("content-type", "text/plain"), ("set-cookie", "a=b"), ("set-cookie", "c=d"), ("x-odd", "\ufffd")]
    assert received_headers(raw, decoded=True) == kept
    assert received_headers(raw, decoded=False) == [
        *kept,
        ("content-encoding", "gzip"),
        ("content-length", "7"),
    ]


def test_received_headers_are_bounded() -> None:
    with pytest.raises(EgressTooLargeError, match="headers are larger"):
        received_headers([(b"X", b"y" * 7000)] * 10, decoded=False)
