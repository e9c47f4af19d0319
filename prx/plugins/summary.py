"""All plugins at a glance, for those who ask often: it costs them nothing however many plugins there are."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from prx.core.unit import Problem
from prx.plugins.plugin import Plugin

_FRESH_SECS: Final = 1.0


class Summary(NamedTuple):
    """How many plugins there are, how many of them work, and what is wrong with the others, by name."""

    loaded: int
    total: int
    problems: Sequence[Problem]


class Summaries:
    """Looks at every plugin once a second at most, and again after anything was done to one."""

    def __init__(self, plugins: Mapping[str, Plugin], clock: Callable[[], float] = time.monotonic) -> None:
        """Look at nothing yet; `clock` gives seconds and never goes back."""
        self._plugins = plugins
        self._clock = clock
        self._last: Summary | None = None
        self._made_at = 0.0

    def outdate(self) -> None:
        """Have the next question answered anew: something was done to a plugin."""
        self._last = None

    def current(self) -> Summary:
        """Return what is so, or was a second ago where a plugin changed by itself, as by failing calls."""
        now = self._clock()
        if self._last is None or now - self._made_at >= _FRESH_SECS:
            self._made_at = now
            self._last = Summary(
                loaded=sum(plugin.status == "loaded" for plugin in self._plugins.values()),
                total=len(self._plugins),
                problems=[
                    problem for name in sorted(self._plugins) for problem in self._plugins[name].problems()
                ],
            )
        return self._last
