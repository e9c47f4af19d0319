"""Which `Host` a request may name (DNS rebinding), and which address it comes from."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?))(?::[0-9]{1,5})?"
)
_WILDCARD_BINDS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
_MAX_REMEMBERED: Final = 256
_HOST_BITS: Final = 64

Address = IPv4Address | IPv6Address


def host_of(authority: str) -> str | None:
    """Return the host of `name[:port]` in one spelling, or None if it is not one.

    Names are in lower case without a final dot, addresses as `ipaddress` writes them, an IPv4 address
    inside IPv6 as IPv4.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return None
    literal = match["v6"]
    address = address_of(literal or match["name"])
    if address is not None:
        return str(address)
    return None if literal else match["name"].lower().removesuffix(".")


def address_of(text: str) -> Address | None:
    """Return the IP address that `text` is, or None."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class HostPolicy:
    """The hosts under which the daemon may be called, at any port: DNS rebinding is by name."""

    def __init__(self, bind: str, allowed_hosts: Iterable[str]) -> None:
        """Take the bound address or name, and the operator's own hosts beside it."""
        self._bind = _spelled(bind)
        bound = address_of(self._bind)
        self._wildcard = bind in _WILDCARD_BINDS
        self._loopback = _is_loopback_name(self._bind) if bound is None else bound.is_loopback
        self._names = {self._bind, *map(_spelled, allowed_hosts)}
        self._remembered: set[str] = set()

    def allows(self, authority: str | None) -> bool:
        """Tell whether a request with this `Host` header may be served."""
        if authority in self._remembered:
            return True
        host = host_of(authority) if authority else None
        if authority is None or host is None or not self._allows_host(host):
            return False
        if len(self._remembered) < _MAX_REMEMBERED:
            self._remembered.add(authority)
        return True

    def _allows_host(self, host: str) -> bool:
        if host in self._names or host == "localhost":
            return True
        address = address_of(host)
        if address is None:
            return self._loopback and _is_loopback_name(host)
        return self._wildcard or (self._loopback and address.is_loopback)


def is_same_origin(origin: str, host: str | None) -> bool:
    """Tell whether a page of `origin` was served under the `Host` that it calls.

    The scheme does not count: where a proxy does TLS, the daemon does not know it.
    """
    return host is not None and origin.partition("://")[2].lower() == host.lower()


def _spelled(host: str) -> str:
    # A bare IPv6 address has no brackets in the configuration.
    address = address_of(host)
    return str(address) if address is not None else host_of(host) or host.lower()


def _is_loopback_name(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def client_address(peer: str | None, forwarded_for: str | None) -> str:
    """Return who a request is counted against: the rightmost hop of `forwarded_for`, else the peer.

    Pass `forwarded_for` only where a trusted proxy writes it: everything left of its last hop is the
    caller's own invention.
    """
    hop = (forwarded_for or "").rpartition(",")[2].strip()
    for text in (hop, host_of(hop), peer):
        address = address_of(text) if text else None
        if address is not None:
            return _counted(address)
    return peer or "unknown"


def _counted(address: Address) -> str:
    """Return whose address it is: whoever has one of IPv6 has the 2**64 around it, and could take another each time."""
    if isinstance(address, IPv4Address):
        return str(address)
    return f"{IPv6Address(int(address) >> _HOST_BITS << _HOST_BITS)}/{128 - _HOST_BITS}"
