"""Where a call gets its sandbox from: a small stock of fresh ones, or a few warm ones."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from prx.plugins.calls import Call, GuestError, Owner
from prx.plugins.instance import Instance
from prx.runtime.logging import get_logger

log = get_logger("plugins::instances")

_STOCK = 1
_WARM_CALLS = 10_000
_WARM_MEMORY_SHARE = 0.75


class Instances:
    """The live instances of one generation.

    A fresh plugin gets an instance per call, so nothing leaks from one call to the next; a prepared one waits in
    stock, made while the plugin has nothing else to do. A warm plugin's instances serve again until they fail, have
    served many calls or hold much of the memory that they may.

    What an instance finds around itself is fixed when it is made. One that was made under other grants than hold now
    never serves again, whether it was in stock or warm.
    """

    def __init__(self, make: Callable[[Call], Instance], owner: Owner) -> None:
        """`make` instantiates on a call's budget, for `owner`."""
        limits = owner.limits
        self._make = make
        self._owner = owner
        self._warm = limits.warm
        self._keep = limits.max_concurrency if limits.warm else _STOCK
        self._warm_memory = limits.max_memory_bytes * _WARM_MEMORY_SHARE
        # A deque and a set change in one step of the interpreter: no lock on the way of every call.
        self._free: deque[Instance] = deque()
        self._taken: set[Instance] = set()
        self._closed = False
        self._wanted = False

    def take(self, call: Call) -> Instance:
        """Return an instance that only the caller uses until `give_back`.

        Raises:
            GuestError: a new one had to be made and failed to start.
        """
        instance = self._pop_current()
        if instance is None:
            instance = self._make(call)
        self._taken.add(instance)
        return instance

    def expect_calls(self) -> None:
        """Keep a stock from now on, until the plugin sleeps: somebody calls it."""
        self._wanted = True

    def give_back(self, instance: Instance) -> None:
        """Keep a healthy warm instance for the next call; close any other."""
        self._taken.discard(instance)
        if self._warm and self._healthy(instance):
            self._keep_free(instance)
        else:
            instance.close()

    def idle(self, call: Call, *, asleep: bool) -> None:
        """Refill the stock after work, on the budget of `call`; drop everything once the plugin sleeps."""
        if self._outdated():
            self._drop()
        if asleep:
            self._wanted = False
            self._drop()
        elif self._wanted and not self._warm and len(self._free) < self._keep and not self._closed:
            self._restock(call)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._free) + len(self._taken)

    def memory_bytes(self) -> int:
        """Return the linear memory of all live instances, as last measured."""
        return sum(instance.memory_bytes for instance in (*self._free.copy(), *self._taken.copy()))

    def close(self) -> None:
        """Close what is free, and from now on what is given back."""
        self._closed = True
        self._drop()

    def _pop_current(self) -> Instance | None:
        while True:
            try:
                instance = self._free.pop()
            except IndexError:
                return None
            if instance.surroundings is self._owner.surroundings:
                return instance
            instance.close()

    def _outdated(self) -> bool:
        return any(instance.surroundings is not self._owner.surroundings for instance in self._free.copy())

    def _healthy(self, instance: Instance) -> bool:
        return instance.usable and instance.calls < _WARM_CALLS and instance.memory_bytes < self._warm_memory

    def _restock(self, call: Call) -> None:
        try:
            instance = self._make(call)
        except GuestError as error:
            # The next call makes its own and reports what happens there.
            log.debug("no instance for the stock", plugin=call.plugin, code=error.code, reason=error.message)
            return
        self._keep_free(instance)

    def _keep_free(self, instance: Instance) -> None:
        if len(self._free) >= self._keep:
            instance.close()
            return
        self._free.append(instance)
        if self._closed:
            self._drop()

    def _drop(self) -> None:
        while self._free:
            with suppress(IndexError):  # another thread took the last one
                self._free.pop().close()
