"""What a platform tells and an adapter cannot read: a message is left out, since it would come again in each life."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from prx.core.channel import IncomingMessage
from prx.core.errors import PrxError
from prx.core.text import well_formed
from prx.runtime.logging import get_logger

P = ParamSpec("P")
T = TypeVar("T")

_MALFORMED: Final = (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError)

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


@contextmanager
def understood(otherwise: type[PrxError]) -> Iterator[None]:
    """Have an answer of a platform in which an adapter does not find what it looks for be an error like others.

    Raises:
        PrxError: of the type `otherwise`.
    """
    try:
        yield
    except _MALFORMED as error:
        _log.warning("an answer cannot be understood", exc_info=error)
        reason = f"{type(error).__name__}: {error}"[:200]
        raise otherwise(f"what the platform answered cannot be understood ({reason})") from error


@skips_malformed
def storable(message: IncomingMessage) -> IncomingMessage | None:
    """Return a message whose texts are texts, which can be kept and sent on; None where they are something else."""
    return replace(
        message,
        conversation=well_formed(message.conversation),
        sender=well_formed(message.sender),
        text=well_formed(message.text),
        event_id=_if_any(message.event_id),
        message_id=_if_any(message.message_id),
        thread=_if_any(message.thread),
        sender_name=well_formed(message.sender_name),
        sender_aliases=[well_formed(alias) for alias in message.sender_aliases],
        reply_to=_if_any(message.reply_to),
        attachments=[
            replace(
                each,
                id=well_formed(each.id),
                name=well_formed(each.name),
                media_type=well_formed(each.media_type),
            )
            for each in message.attachments
        ],
    )


def _if_any(text: str | None) -> str | None:
    return None if text is None else well_formed(text)
