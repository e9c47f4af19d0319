"""An address that cannot be used is refused when it is configured, and what is let through can be used."""

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prx.config.addresses import BaseUrl, HttpUrl

ADDRESS = TypeAdapter[str](HttpUrl)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8080/mcp",
        "https://tickets.example.com/mcp?tenant=a%20b",
        "https://user:word@tickets.example.com./",
        "HTTPS://Tickets.Example.com",
        "http://[::1]:3000/mcp",
        "http://my_server-1:80",
        "https://xn--bcher-kva.example/mcp",
        "https://tickets.example.com/bücher",
    ],
)
def test_an_address_stays_as_it_was_written(address: str) -> None:
    assert ADDRESS.validate_python(address) == address


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "not absolute"),
        ("tickets.example.com/mcp", "not absolute"),
        ("ftp://tickets.example.com", 'scheme is "ftp"'),
        ("http:///mcp", "no host"),
        ("https://", "no host"),
        ("https://user:hunter2@/mcp", "no host"),
        ("http://tickets..example.com", "tickets..example.com"),
        ("http://1.2.3.400/", "1.2.3.400"),
        ("http://[::1/", "no host"),
        ("http://[fe80::zz]/", "fe80::zz"),
        ("http://tickets:99999/", "port is 99999"),
        ("http://tickets:port/", "no host"),
        ("https://bücher.example/mcp", "write xn--bcher-kva.example"),
        ("http://two words/", "character ' '"),
        ("http://tickets/\nmcp", "character"),
        ("http://tickets\\mcp", "character"),
        ("http://tickets/" + "a" * 9000, "8192 are allowed"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(address: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ADDRESS.validate_python(address)


def test_a_refusal_does_not_repeat_what_may_be_a_password() -> None:
    with pytest.raises(ValidationError) as refusal:
        ADDRESS.validate_python("https://user:hunter2@tickets..example.com")
    assert "hunter2" not in refusal.value.errors(include_input=False)[0]["msg"]


@given(st.from_regex(r"https?://[^/]{0,20}(:[0-9]{1,6})?(/.{0,10})?", fullmatch=True) | st.text())
def test_whatever_is_let_through_is_an_address_to_the_client_as_well(text: str) -> None:
    try:
        ADDRESS.validate_python(text)
    except ValidationError:
        return
    url = httpx2.URL(text)
    assert url.scheme in ("http", "https")
    assert url.host


@pytest.mark.parametrize("address", ["https://api.example.com", "http://user:word@[::1]:8081/bots/"])
def test_paths_are_put_behind_an_address(address: str) -> None:
    assert TypeAdapter[str](BaseUrl).validate_python(address) == address


@pytest.mark.parametrize(
    "address", ["http://a/?b", "http://a/#b", "http://a b", "http://a:99999", "http://[::1", "http://...", ""]
)
def test_paths_cannot_be_put_behind_anything(address: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[str](BaseUrl).validate_python(address)
