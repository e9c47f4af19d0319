"""What a platform tells and an adapter cannot read: left out, since it would come again in each life."""

from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from prx.runtime.logging import get_logger

P = ParamSpec("P")
T = TypeVar("T")

_MALFORMED: Final = (AttributeError, LookupError, OverflowError, TypeError, ValueError)

_log = get_logger("channels::malformed")


def skips_malformed(read: Callable[P, T | None]) -> Callable[P, T | None]:
    """Have a function that reads a message return None for one that lacks what messages have, and say so in the log."""

    @wraps(read)
    def tolerant(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return read(*args, **kwargs)
        except _MALFORMED as error:
            reason = f"{type(error).__name__}: {error}"[:200]
            _log.warning("a message was left out: it cannot be read", reader=read.__module__, reason=reason)
            return None

    return tolerant
