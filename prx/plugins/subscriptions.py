"""Which events a hook plugin wants: the patterns of its manifest, and those that it asked for itself."""

import threading
from collections.abc import Callable, Iterable

from prx.core.errors import BadRequestError
from prx.core.event import compile_pattern

MAX_SUBSCRIPTIONS = 64


class Subscriptions:
    """The patterns of one generation. Changed from the plugin's threads, read on the event loop."""

    def __init__(self, plugin: str, patterns: Iterable[str]) -> None:
        """Begin with the manifest's `patterns`, which the plugin cannot end.

        Raises:
            BadRequestError: one is no pattern.
        """
        self._plugin = plugin
        self._lock = threading.Lock()
        self._declared = {pattern: compile_pattern(pattern) for pattern in patterns}
        self._own: dict[int, str] = {}
        self._next = 1
        self._tests: tuple[Callable[[str], bool], ...] = tuple(self._declared.values())

    def patterns(self) -> list[str]:
        """Return every pattern, once each."""
        return sorted({*self._declared, *self._own.values()})

    def matches(self, topic: str) -> bool:
        """Tell whether one of the patterns matches `topic`."""
        return any(test(topic) for test in self._tests)

    def add(self, pattern: str) -> int:
        """Want what matches `pattern` too; return the number that `remove` takes, the same for the same pattern.

        A fresh instance does not know what the one before it subscribed to: asking again is no second subscription.

        Raises:
            BadRequestError: it is no pattern, or there are 64 already.
        """
        test = compile_pattern(pattern)
        with self._lock:
            for number, known in self._own.items():
                if known == pattern:
                    return number
            if len(self._own) >= MAX_SUBSCRIPTIONS:
                raise BadRequestError(
                    f"a plugin may have {MAX_SUBSCRIPTIONS} subscriptions: end some, or use wildcards"
                )
            number, self._next = self._next, self._next + 1
            self._own[number] = pattern
            self._tests = (*self._tests, test)
        return number

    def remove(self, number: int) -> None:
        """End the subscription `number`.

        Raises:
            BadRequestError: the plugin has no such subscription.
        """
        with self._lock:
            if self._own.pop(number, None) is None:
                raise BadRequestError(f'plugin "{self._plugin}" has no subscription {number}')
            own = (compile_pattern(pattern) for pattern in self._own.values())
            self._tests = (*self._declared.values(), *own)
