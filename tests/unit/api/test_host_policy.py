"""Which Host headers are served, and whom a request is counted against."""

import string
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.api.hosts import HostPolicy, client_address, host_of

WILDCARD = "0.0.0.0"  # noqa: S104 - compared with, not bound to
LOOPBACK_NAMES = ["localhost", "localhost:3120", "LOCALHOST", "localhost.", "prx.localhost:1"]
LOOPBACK = [*LOOPBACK_NAMES, "127.0.0.1", "127.8.9.1:80", "[::1]", "[::1]:3120", "[::ffff:127.0.0.1]"]
FOREIGN = [
    "evil.example",
    "evil.example:80",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "a-localhost",
]
BROKEN = [
    "",
    "a b",
    "localhost:",
    "localhost:x",
    "localhost:999999",
    "[::1",
    "::1",
    "[localhost]",
    "a@localhost",
]
NOT_A_HOST = [*BROKEN, "localhost/", "localhost,evil.example", "[::1]evil", "\udc80", "localhost\n"]
ADDRESSES = ["10.0.0.7:3120", "[2001:db8::1]", WILDCARD, "169.254.169.254"]


@pytest.mark.parametrize("bind", ["127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.2"])
@pytest.mark.parametrize("host", LOOPBACK)
def test_a_loopback_bind_answers_to_every_loopback_name_and_address(bind: str, host: str) -> None:
    assert HostPolicy(bind, []).allows(host)


@pytest.mark.parametrize("host", [*FOREIGN, *NOT_A_HOST, *ADDRESSES])
def test_a_loopback_bind_answers_to_nothing_else(host: str) -> None:
    assert not HostPolicy("127.0.0.1", []).allows(host)


@pytest.mark.parametrize("bind", [WILDCARD, "::"])
def test_a_wildcard_bind_answers_to_every_address_and_localhost_but_to_no_other_name(bind: str) -> None:
    policy = HostPolicy(bind, [])
    assert all(policy.allows(host) for host in [*ADDRESSES, "127.0.0.1", "[::1]:1", "localhost"])
    assert not any(policy.allows(host) for host in [*FOREIGN, *NOT_A_HOST])


def test_a_bind_to_one_address_answers_to_it_and_localhost_alone() -> None:
    policy = HostPolicy("10.0.0.7", [])
    assert policy.allows("10.0.0.7:3120")
    assert policy.allows("localhost:3120")
    assert not any(policy.allows(host) for host in ["10.0.0.8", "127.0.0.1", "prx.localhost", *FOREIGN])


def test_a_bind_to_a_name_answers_to_that_name() -> None:
    policy = HostPolicy("Gate.Example", [])
    assert policy.allows("gate.example:3120")
    assert not policy.allows("evil.example")


def test_allowed_hosts_are_compared_without_case_port_or_final_dot() -> None:
    policy = HostPolicy("127.0.0.1", ["PRX.example.", "other.example:8443", "2001:db8::2"])
    assert all(
        policy.allows(host) for host in ["prx.example", "other.example", "[2001:DB8::2]:9", "PRX.Example.:1"]
    )
    assert not any(policy.allows(host) for host in ["a.prx.example", "prx.example.evil"])


def test_no_host_at_all_is_refused() -> None:
    assert not HostPolicy(WILDCARD, ["prx.example"]).allows(None)


def test_an_allowed_host_stays_allowed_however_many_others_were_seen() -> None:
    policy = HostPolicy("127.0.0.1", [])
    for port in range(1000):
        assert policy.allows(f"localhost:{port}")


@given(st.text(max_size=80))
def test_any_text_is_a_host_in_one_spelling_or_none(text: str) -> None:
    host = host_of(text)
    assert host is None or host_of(f"[{host}]" if ":" in host else host) == host


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_is_recognised_with_and_without_its_port(address: object, port: int) -> None:
    bare = f"[{address}]" if ":" in str(address) else str(address)
    assert host_of(bare) == host_of(f"{bare}:{port}")
    assert ip_address(host_of(bare) or "")


@given(st.text(string.ascii_letters + string.digits + ".-:[]%", max_size=40))
def test_a_name_that_only_contains_localhost_is_never_loopback(noise: str) -> None:
    assert not HostPolicy("127.0.0.1", []).allows(f"localhost.{noise}.example")


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        (None, "192.0.2.1"),
        ("", "192.0.2.1"),
        ("10.1.1.1", "10.1.1.1"),
        ("6.6.6.6, 10.1.1.1", "10.1.1.1"),
        ("6.6.6.6, 10.1.1.1:4711", "10.1.1.1"),
        ("2001:DB8::1", "2001:db8::/64"),
        ("[2001:db8:0:1:2:3:4:5]:4711", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.1.1.1", "10.1.1.1"),
        ("6.6.6.6, unknown", "192.0.2.1"),
        ("6.6.6.6,", "192.0.2.1"),
    ],
)
def test_the_rightmost_hop_is_counted_or_the_peer_where_it_is_no_address(
    forwarded: str, counted: str
) -> None:
    assert client_address("192.0.2.1", forwarded) == counted
