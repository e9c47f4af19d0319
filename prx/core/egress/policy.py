"""Who may ask for what: the two questions that the client puts before each request and each connection."""

from dataclasses import dataclass
from typing import Protocol

from prx.core.egress.addresses import Address, Kind, kind_of
from prx.core.egress.errors import EgressAddressError
from prx.core.egress.target import Target

# What a name may stand for where private targets are allowed. Everything else a name has no business with: a
# resolver that answers so is misled, and only the address itself, written out, says that it is meant.
_FOR_NAMES = frozenset({Kind.PRIVATE, Kind.LOOPBACK, Kind.LINK_LOCAL})


class Policy(Protocol):
    """What one caller may reach."""

    def admit(self, target: Target) -> None:
        """Let the request to `target` go on; asked once for the first one and for each redirect, before any lookup.

        Raises:
            EgressRefusedError: it may not be sent; names what would allow it.
        """

    def admit_address(self, target: Target, address: Address) -> None:
        """Let a connection for `target` be made to `address`; asked for every address that the host stands for.

        Raises:
            EgressRefusedError: it may not be made; names what would allow it.
        """


@dataclass(frozen=True, slots=True)
class AddressRule:
    """Public addresses, and others only by consent of the operator."""

    allow_private: bool
    key: str
    """The key of the configuration that `allow_private` is."""

    def admit_address(self, target: Target, address: Address) -> None:
        """See `Policy.admit_address`."""
        kind = kind_of(address)
        if kind is Kind.PUBLIC:
            return
        if not self.allow_private:
            raise EgressAddressError(
                f"{_refusal(target, address, kind)}; an operator allows such targets with {self.key} = true"
            )
        if not target.is_literal and kind not in _FOR_NAMES:
            raise EgressAddressError(
                f"{_refusal(target, address, kind)}, which is reached only by a URL with the address itself"
            )


@dataclass(frozen=True, slots=True)
class AnyTarget(AddressRule):
    """Every URL that the rule for addresses lets through."""

    def admit(self, target: Target) -> None:
        """See `Policy.admit`."""


def _refusal(target: Target, address: Address, kind: Kind) -> str:
    named = "is" if target.is_literal else f"stands for {address},"
    article = "an" if kind is Kind.UNSPECIFIED else "a"
    return f"{target.origin} is refused: {target.host} {named} {article} {kind} address"
