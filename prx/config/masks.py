"""What a sent value means where it has the mask of a secret in it: leave that value alone, and never guess."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from prx.config.keys import Key, Tree, at, holds
from prx.config.redaction import MASK

KEEP: Final = object()
"""In place of a value: leave what is there alone."""


class Current(NamedTuple):
    """What the configuration is now."""

    shown: Tree
    """As it is shown, secrets masked."""
    written: Tree
    """As it is written, secrets and all."""


def unmasked(key: Key, value: Any, current: Callable[[], Current]) -> Any:
    """Return what is to be written for the `value` sent at `key`, or `KEEP`.

    `current` is asked for only where a mask is part of a larger value.

    Raises:
        ValueError: a mask stands where no secret can be put back for certain.
    """
    if value == MASK:
        return KEEP
    if isinstance(value, dict):
        kept = {name: unmasked((*key, name), inner, current) for name, inner in value.items()}
        kept = {name: inner for name, inner in kept.items() if inner is not KEEP}
        return kept if kept or not value else KEEP
    if not _has_mask(value):
        return value
    now = current()
    shown = at(now.shown, key) if holds(now.shown, key) else None
    if value == shown:
        return KEEP
    if isinstance(value, list) and isinstance(shown, list) and holds(now.written, key):
        return _restored(value, shown, at(now.written, key))
    raise ValueError(f"has {MASK} in it, which stands for no value here: send the value itself")


def _restored(sent: list[Any], shown: list[Any], written: list[Any]) -> list[Any]:
    """Put back each element that is sent as it was shown. One that differs might give its secret to somebody else."""
    restored = []
    for place, element in enumerate(sent):
        same = [index for index, other in enumerate(shown) if other == element]
        if not _has_mask(element):
            restored.append(element)
        elif place in same:
            restored.append(written[place])
        elif len(same) == 1:
            restored.append(written[same[0]])
        else:
            raise ValueError(
                f"{place} was changed and has {MASK} in it: send its secrets themselves, or as env:NAME"
            )
    return restored


def _has_mask(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_mask, value.values()))
    if isinstance(value, list):
        return any(map(_has_mask, value))
    return isinstance(value, str) and MASK in value
