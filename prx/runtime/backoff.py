"""Pauses between attempts: doubling up to a bound, with jitter so that many do not retry in step."""

import random
from collections.abc import Callable
from typing import Final

_LARGEST_EXPONENT: Final = 64


class Backoff:
    """The pauses of one thing that keeps failing."""

    def __init__(
        self,
        first_secs: float = 2.0,
        most_secs: float = 60.0,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Begin with `first_secs`, double up to `most_secs`; `chance` yields numbers in [0, 1)."""
        self._first_secs = first_secs
        self._most_secs = most_secs
        self._chance = chance
        self._failures = 0

    def pause_secs(self) -> float:
        """Count a failure and return how long to wait: between half of this step and the whole of it."""
        whole = min(self._most_secs, self._first_secs * 2.0 ** min(self._failures, _LARGEST_EXPONENT))
        self._failures += 1
        return whole * (0.5 + self._chance() / 2)

    def reset(self) -> None:
        """Begin again with the first pause."""
        self._failures = 0
