"""Hosts of URLs: every spelling that a client or libc would take for an address, and what an address belongs to."""

import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

import idna

from prx.core.egress.errors import EgressRefusedError

Address = IPv4Address | IPv6Address
Host = Address | str
"""A name is lower case, ASCII (IDNA) and without the trailing dot."""

_MAX_NAME: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\%@/?#<>^|\"`{}]")
_NUMERIC: Final = re.compile(r"0x[0-9a-f]+|[0-9]+")
_NUMBER: Final = re.compile(r"0x[0-9a-f]+|0[0-7]*|[1-9][0-9]{0,9}")
_OCTETS: Final = 4
_LARGEST_OCTET: Final = 255
_LOW_32: Final = 0xFFFF_FFFF


class Kind(StrEnum):
    """Whom an address reaches."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    METADATA = "cloud metadata"
    MULTICAST = "multicast"
    UNSPECIFIED = "unspecified"
    RESERVED = "reserved"


# Not `ipaddress.is_global`: its tables differ between the Python versions that PRX runs on.
_IPV4: Final[dict[IPv4Network, Kind]] = {
    IPv4Network(network): kind
    for network, kind in {
        "0.0.0.0/8": Kind.UNSPECIFIED,  # Linux takes 0.0.0.0 for itself
        "10.0.0.0/8": Kind.PRIVATE,
        "100.64.0.0/10": Kind.PRIVATE,
        "127.0.0.0/8": Kind.LOOPBACK,
        "169.254.0.0/16": Kind.LINK_LOCAL,
        "172.16.0.0/12": Kind.PRIVATE,
        "192.0.0.0/24": Kind.RESERVED,
        "192.0.2.0/24": Kind.RESERVED,
        "192.88.99.0/24": Kind.RESERVED,
        "192.168.0.0/16": Kind.PRIVATE,
        "198.18.0.0/15": Kind.RESERVED,
        "198.51.100.0/24": Kind.RESERVED,
        "203.0.113.0/24": Kind.RESERVED,
        "224.0.0.0/4": Kind.MULTICAST,
        "240.0.0.0/4": Kind.RESERVED,
    }.items()
}
# The first match counts; what no line names is reserved.
_IPV6: Final[dict[IPv6Network, Kind]] = {
    IPv6Network(network): kind
    for network, kind in {
        "::/128": Kind.UNSPECIFIED,
        "::1/128": Kind.LOOPBACK,
        "::ffff:0:0/96": Kind.PUBLIC,  # here and for NAT64 the embedded address has been judged already
        "64:ff9b::/96": Kind.PUBLIC,
        "64:ff9b:1::/48": Kind.PRIVATE,
        "fc00::/7": Kind.PRIVATE,
        "fe80::/10": Kind.LINK_LOCAL,
        "fec0::/10": Kind.PRIVATE,
        "ff00::/8": Kind.MULTICAST,
        "2001::/23": Kind.RESERVED,  # Teredo, benchmarks, ORCHID
        "2001:db8::/32": Kind.RESERVED,
        "2002::/16": Kind.RESERVED,  # 6to4
        "3fff::/20": Kind.RESERVED,
        "2000::/3": Kind.PUBLIC,
    }.items()
}
# Where clouds hand out credentials. Some of these lie in public or private ranges.
_METADATA: Final[frozenset[Address]] = frozenset(
    {
        *map(IPv4Address, ("169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.0.23")),
        *map(IPv4Address, ("100.100.100.200", "168.63.129.16", "192.0.0.192")),
        *map(
            IPv6Address, ("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fe80::a9fe:a9fe")
        ),
    }
)
# Prefixes after which an IPv4 address stands in the last 32 bits.
_EMBEDDING: Final = tuple(
    IPv6Network(network) for network in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_TEREDO: Final = IPv6Network("2001::/32")
_ISATAP: Final = 0x0000_5EFE
_ISATAP_MASK: Final = 0xFCFF_FFFF  # the two bits in which an interface id may differ


@lru_cache(maxsize=1024)
def kind_of(address: Address) -> Kind:
    """Return what `address` belongs to; an IPv6 address that carries an IPv4 one is no better than that one."""
    if address in _METADATA:
        return Kind.METADATA
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _IPV4.items() if address in network), Kind.PUBLIC)
    own = next((kind for network, kind in _IPV6.items() if address in network), Kind.RESERVED)
    if own in (Kind.LOOPBACK, Kind.UNSPECIFIED):
        return own
    return next((kind for inner in _embedded(address) if (kind := kind_of(inner)) is not Kind.PUBLIC), own)


def parse_host(text: str) -> Host:
    """Return the address or the name that the host part of a URL stands for, in its one canonical form.

    Addresses may be spelled in every way that libc takes: 2130706433, 0x7f.1, 0177.0.0.1, [::ffff:7f00:1].

    Raises:
        EgressRefusedError: it is neither; says why.
    """
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text[1:-1])
    if found := _FORBIDDEN.search(text):
        raise EgressRefusedError(f"the host {text!r} holds {found[0]!r}: write the plain name or address")
    name = _ascii(text).removesuffix(".")
    labels = name.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        if (address := _ipv4(labels)) is None:
            raise EgressRefusedError(
                f"the host {text!r} ends in a number but is no IPv4 address: write it as 192.0.2.1"
            )
        return address
    if len(name) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise EgressRefusedError(f"the host {text!r} is neither an address nor a name: check its spelling")
    return name


def _ascii(text: str) -> str:
    if text.isascii():
        return text.lower()
    try:
        return idna.encode(text, uts46=True, transitional=False).decode()
    except idna.IDNAError as error:
        raise EgressRefusedError(f"the host {text!r} is no internationalized name: {error}") from error


def _ipv4(parts: list[str]) -> IPv4Address | None:
    """Read one to four numbers as libc does: decimal, octal after 0, hexadecimal after 0x; the last fills up."""
    if len(parts) > _OCTETS or not all(map(_NUMBER.fullmatch, parts)):
        return None
    *leading, last = map(_number, parts)
    if max(leading, default=0) > _LARGEST_OCTET or last >> 8 * (_OCTETS - len(leading)):
        return None
    return IPv4Address(last + sum(number << 8 * (3 - place) for place, number in enumerate(leading)))


def _number(part: str) -> int:
    if part[:2] == "0x":
        return int(part, 16)
    return int(part, 8 if part[0] == "0" else 10)


def _ipv6(text: str) -> Address:
    if "%" in text:
        raise EgressRefusedError(
            f"the host '[{text}]' has a zone: a zone is an interface of this machine; leave it out"
        )
    try:
        address = IPv6Address(text)
    except ValueError:
        raise EgressRefusedError(f"the host '[{text}]' is no IPv6 address: check its spelling") from None
    return address.ipv4_mapped or address


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """Yield every IPv4 address that a network on the way may make of `address`."""
    value = int(address)
    if any(address in network for network in _EMBEDDING):
        yield IPv4Address(value & _LOW_32)
    if address in _SIX_TO_FOUR:
        yield IPv4Address(value >> 80 & _LOW_32)
    if address in _TEREDO:
        yield IPv4Address(value >> 64 & _LOW_32)
        yield IPv4Address(~value & _LOW_32)
    if value >> 32 & _ISATAP_MASK == _ISATAP:
        yield IPv4Address(value & _LOW_32)
