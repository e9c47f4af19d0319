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


async def check_target(url: str, names: Names | None, *, allow_private: bool) -> None:
    """Refuse an address that nothing would be delivered to. A name that does not resolve now may do so later.

    Args:
        url: what is asked for.
        names: where names are looked up; None leaves that to the deliveries.
        allow_private: `hooks.allow_private_targets`.

    Raises:
        ValueError: it is no http or https URL, or leads where hooks may not go; says what would allow it.
    """
    if len(url) > MAX_URL_CHARS:
        raise ValueError(f"a URL of {len(url)} characters: {MAX_URL_CHARS} are allowed")
    try:
        target = Target.parse(url)
        if names is None:
            if not isinstance(target.host, str):
                policy(allow_private=allow_private).admit_address(target, target.host)
            return
        async with asyncio.timeout(_LOOKUP_SECS):
            await checked_addresses(target, names, policy(allow_private=allow_private))
    except EgressRefusedError as error:
        raise ValueError(error.message) from error
    except (EgressError, TimeoutError):
        return
