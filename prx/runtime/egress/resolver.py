"""From a name to the addresses that were checked, and from these to the connection, with nothing in between."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Protocol

from aiohttp.abc import AbstractResolver, ResolveResult

from prx.core.egress.addresses import Address
from prx.core.egress.errors import EgressError, EgressNameError, EgressRefusedError
from prx.core.egress.policy import Policy
from prx.core.egress.target import Target

_THREADS: Final = 8
_MAX_LOOKUPS: Final = 64
_MAX_ADDRESSES: Final = 16
_PINNED: Final = ".pinned.invalid"


class Names(Protocol):
    """A source of addresses for names."""

    async def addresses(self, name: str) -> Sequence[Address]:
        """Return what `name` stands for now, the preferred first.

        Raises:
            EgressError: it stands for nothing, or that cannot be found out.
        """


def look_up(name: str) -> list[Address]:
    """Ask the system what `name` stands for. Blocks.

    Raises:
        socket.gaierror: nothing, or it does not say.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ip_address(str(where[0]).partition("%")[0])
        for family, _, _, _, where in found
        if family in (socket.AF_INET, socket.AF_INET6)
    ]


class SystemNames:
    """The system's resolver, on threads of its own: a name that hangs holds up nothing else of the daemon."""

    def __init__(self, ask: Callable[[str], list[Address]] = look_up, *, threads: int = _THREADS) -> None:
        """Start no thread before the first lookup, which is `ask`; names that hang take one of `threads` each."""
        self._ask = ask
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="prx-names")
        self._asked: dict[str, asyncio.Future[list[Address]]] = {}

    async def addresses(self, name: str) -> Sequence[Address]:
        """See `Names.addresses`. Whoever asks for one name at the same time shares one lookup."""
        answer = self._asked.get(name)
        if answer is None:
            if len(self._asked) >= _MAX_LOOKUPS:
                raise EgressError(f"{_MAX_LOOKUPS} names are being looked up already: try again later")
            answer = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, name)
            self._asked[name] = answer
            answer.add_done_callback(lambda _: self._asked.pop(name))
        try:
            return await asyncio.shield(answer)
        except socket.gaierror as error:
            raise EgressNameError(f"the name {name} does not resolve: {error.strerror}") from error

    def close(self) -> None:
        """Take no more questions; a lookup that hangs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def checked_addresses(target: Target, names: Names, policy: Policy) -> list[Address]:
    """Return the addresses that a connection for `target` may be made to; its name is looked up this once.

    One address that `policy` refuses refuses them all. A name that stands for public and private addresses at
    once is a rebinding attack or a mistake; to pick the allowed ones would let the answer's author choose, by
    which of them do not respond, and would hide the mistake.

    Raises:
        EgressError: the name does not resolve, or an address is refused.
    """
    found = [target.host] if not isinstance(target.host, str) else await names.addresses(target.host)
    # As what they are connected to: libc makes a plain IPv4 connection of a mapped address.
    addresses = [_unmapped(address) for address in found]
    if not addresses:
        raise EgressNameError(f"the name {target.host} stands for no address")
    for address in addresses:
        policy.admit_address(target, address)
    return addresses[:_MAX_ADDRESSES]


def _unmapped(address: Address) -> Address:
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def pinned_host(addresses: Sequence[Address]) -> str:
    """Return the host that stands for exactly `addresses` in a URL for a client with a `PinnedResolver`."""
    return ".".join(address.packed.hex() for address in addresses) + _PINNED


class PinnedResolver(AbstractResolver):
    """Reads addresses back from a `pinned_host`, and knows no other name: there is no second lookup to win."""

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  # aiohttp's signature
    ) -> list[ResolveResult]:
        """Return the addresses that `host` is made of.

        Raises:
            EgressRefusedError: it is not made by `pinned_host`.
        """
        if not host.endswith(_PINNED):
            raise EgressRefusedError(f"{host} was not checked before it is connected to")
        packed = [bytes.fromhex(part) for part in host.removesuffix(_PINNED).split(".")]
        return [_result(host, ip_address(part), port) for part in packed]

    async def close(self) -> None:
        """Nothing is held."""


def _result(host: str, address: Address, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=str(address),
        port=port,
        family=socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
