"""Hosts: libc's spellings are understood as libc understands them, and every address has its kind."""

import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prx.core.egress.addresses import Kind, kind_of, parse_host
from prx.core.egress.errors import EgressRefusedError

LOOPBACK = IPv4Address("127.0.0.1")
OCTETS = st.integers(0, 255)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, int]:
    """Draw an IPv4 address and one of the ways to write it: fewer parts, other bases, leading zeros."""
    value = draw(st.integers(0, 2**32 - 1))
    parts = draw(st.integers(1, 4))
    numbers = [value >> 8 * (3 - place) & 0xFF for place in range(parts - 1)]
    numbers.append(value & (1 << 8 * (5 - parts)) - 1)
    forms = (
        str,
        lambda n: f"0{n:o}",
        lambda n: f"000{n:o}",
        hex,
        lambda n: f"0X{n:08X}",
    )
    return ".".join(draw(st.sampled_from(forms))(number) for number in numbers), value


@given(spelled())
def test_every_spelling_of_an_ipv4_address_is_that_address(spelling: tuple[str, int]) -> None:
    text, value = spelling
    assert parse_host(text) == IPv4Address(value)
    assert socket.inet_aton(text) == value.to_bytes(4, "big")


@given(st.text("0123456789abcdefxX.", min_size=1, max_size=24))
@example("0")
@example("1.2.3.4.5")
@example("08.1")
@example("256.256.256.256")
def test_what_libc_takes_for_an_address_is_never_taken_for_a_name(text: str) -> None:
    try:
        packed = socket.inet_aton(text)
    except OSError:
        return
    assert parse_host(text) == IPv4Address(packed)


@given(st.ip_addresses(v=6))
def test_every_ipv6_address_is_understood_in_brackets(address: IPv6Address) -> None:
    expected = address.ipv4_mapped or address
    assert parse_host(f"[{address}]") == parse_host(f"[{address.exploded.upper()}]") == expected


@given(st.text(max_size=40))
def test_any_text_is_an_address_a_plain_name_or_refused(text: str) -> None:
    try:
        host = parse_host(text)
    except EgressRefusedError:
        return
    if isinstance(host, str):
        assert re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", host)
        assert parse_host(host) == host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("EXAMPLE.com", "example.com"),
        ("example.com.", "example.com"),
        ("127.0.0.1.", LOOPBACK),
        ("\uff11\uff12\uff17.\uff10.0.1", LOOPBACK),  # full-width digits
        ("\u2460\u2461\u2466.0.0.1", LOOPBACK),  # digits in circles
        ("127\u30020\u30020\u30021", LOOPBACK),  # ideographic full stops
        ("127.0.0.1\u00ad", LOOPBACK),  # a soft hyphen
        ("[::ffff:127.0.0.1]", LOOPBACK),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("BU\u0308CHER.example", "xn--bcher-kva.example"),
        ("my_service", "my_service"),
    ],
)
def test_a_host_has_one_form(text: str, host: object) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.-b",
            "-a",
            "a:b",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[v1.x]",
            "[127.0.0.1]",
        ),
        *(
            "a b",
            "a\tb",
            "a\nb",
            "a\x00",
            "a\\b",
            "a%2eb",
            "%31%32%37.0.0.1",
            "a@b",
            "a/b",
            "a?b",
            "a#b",
            "a\u3000b",
        ),
        *(
            "256.0.0.1",
            "1.2.3.4.5",
            "08",
            "4294967296",
            "0x100000000",
            "127.0.0.1.2",
            "1..2",
            "a.1",
            "9" * 5000,
        ),
        *("[fe80::1%eth0]", "[fe80::1%25eth0]", "[::1%1]"),
        *("a" * 64, ".".join(["a" * 63] * 4) + ".a", "\u200d.example", "\ud800", "xn--\u00fc"),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(EgressRefusedError, match="the host"):
        parse_host(text)


KINDS = {
    Kind.PUBLIC: ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.0", "223.255.255.255", "2606:4700::1111"],
    Kind.PRIVATE: [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "fc00::1",
        "fdff::1",
    ],
    Kind.LOOPBACK: ["127.0.0.1", "127.255.255.254", "::1"],
    Kind.LINK_LOCAL: ["169.254.1.1", "fe80::1", "febf::1"],
    Kind.METADATA: ["169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254"],
    Kind.MULTICAST: ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    Kind.UNSPECIFIED: ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104  # not bound to
    Kind.RESERVED: [
        *("192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1"),
        *("255.255.255.255", "100::1", "2001:2::1", "2001:db8::1", "3fff::1", "4000::1", "5f00::1"),
    ],
}
# The ways to carry an IPv4 address in an IPv6 one.
CARRIERS = {
    "mapped": "::ffff:{}",
    "translated": "::ffff:0:{}",
    "compatible": "::{}",
    "NAT64": "64:ff9b::{}",
    "ISATAP": "2606:4700::5efe:{}",
    "ISATAP with its bit": "2606:4700::200:5efe:{}",
}


@pytest.mark.parametrize(("text", "kind"), [(text, kind) for kind, texts in KINDS.items() for text in texts])
def test_each_address_has_its_kind(text: str, kind: Kind) -> None:
    assert kind_of(ip_address(text)) is kind


@pytest.mark.parametrize("text", ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_an_address_that_carries_a_public_one_to_it_is_public(text: str) -> None:
    assert kind_of(ip_address(text)) is Kind.PUBLIC


@pytest.mark.parametrize("carrier", CARRIERS)
@given(inner=st.ip_addresses(v=4))
def test_no_carrier_makes_an_address_more_public_than_it_is(carrier: str, inner: IPv4Address) -> None:
    carried = kind_of(IPv6Address(CARRIERS[carrier].format(inner)))
    if kind_of(inner) is not Kind.PUBLIC and not (carrier == "compatible" and int(inner) < 2):
        assert carried is kind_of(inner)


@given(inner=st.ip_addresses(v=4))
def test_tunnels_of_the_past_are_never_public(inner: IPv4Address) -> None:
    value = int(inner)
    six_to_four = IPv6Address(0x2002 << 112 | value << 80 | 1)
    teredo_client = IPv6Address(0x20010000 << 96 | 0x01010101 << 64 | ~value & 0xFFFFFFFF)
    teredo_server = IPv6Address(0x20010000 << 96 | value << 64 | ~0x01010101 & 0xFFFFFFFF)
    expected = Kind.RESERVED if kind_of(inner) is Kind.PUBLIC else kind_of(inner)
    assert {kind_of(six_to_four), kind_of(teredo_client), kind_of(teredo_server)} == {expected}


@given(st.ip_addresses())
def test_what_python_calls_local_is_never_public(address: IPv4Address | IPv6Address) -> None:
    local = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    if local or (address.is_private and not (isinstance(address, IPv6Address) and address.ipv4_mapped)):
        assert kind_of(address) is not Kind.PUBLIC
