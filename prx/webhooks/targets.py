"""Where hooks may be registered to go; each delivery asks the same rule again."""

import asyncio
from typing import Final

from prx.core.egress.errors import EgressError, EgressRefusedError
from prx.core.webhook import target_of, targets
from prx.runtime.egress.resolver import Names, checked_addresses

_LOOKUP_SECS: Final = 5.0


async def check_target(url: str, names: Names, *, allow_private: bool) -> None:
    """Refuse what `target_of` does, and a name that stands for an address where hooks may not go.

    A name that does not resolve now may do so later.

    Raises:
        ValueError: as `target_of`.
    """
    target = target_of(url, allow_private=allow_private)
    try:
        async with asyncio.timeout(_LOOKUP_SECS):
            await checked_addresses(target, names, targets(allow_private=allow_private))
    except EgressRefusedError as error:
        raise ValueError(error.message) from error
    except (EgressError, TimeoutError):
        return
