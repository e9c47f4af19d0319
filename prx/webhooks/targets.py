"""Where webhooks may go: the rules of the egress guard, asked at registration and again at each delivery."""

import asyncio
from typing import Final

from prx.runtime.egress.errors import EgressError, EgressRefusedError
from prx.runtime.egress.policy import AnyTarget
from prx.runtime.egress.resolver import Names, checked_addresses
from prx.runtime.egress.target import Target

MAX_URL_CHARS: Final = 2048
_LOOKUP_SECS: Final = 5.0


def policy(*, allow_private: bool) -> AnyTarget:
    """Return what hooks may reach."""
    return AnyTarget(allow_private=allow_private, key="hooks.allow_private_targets")


def check_url(url: str, *, allow_private: bool) -> Target:
    """Return `url` as a target, unless it says itself that nothing would be delivered to it; nothing is looked up.

    Raises:
        ValueError: it is no http or https URL, or names an address where hooks may not go; says what would allow it.
    """
    if len(url) > MAX_URL_CHARS:
        raise ValueError(f"a URL of {len(url)} characters: {MAX_URL_CHARS} are allowed")
    try:
        target = Target.parse(url)
        if not isinstance(target.host, str):
            policy(allow_private=allow_private).admit_address(target, target.host)
    except EgressRefusedError as error:
        raise ValueError(error.message) from error
    return target


async def check_target(url: str, names: Names, *, allow_private: bool) -> None:
    """Refuse what `check_url` does, and a name that stands for an address where hooks may not go.

    A name that does not resolve now may do so later.

    Raises:
        ValueError: see `check_url`.
    """
    target = check_url(url, allow_private=allow_private)
    try:
        async with asyncio.timeout(_LOOKUP_SECS):
            await checked_addresses(target, names, policy(allow_private=allow_private))
    except EgressRefusedError as error:
        raise ValueError(error.message) from error
    except (EgressError, TimeoutError):
        return
