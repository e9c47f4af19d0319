"""Named things that parts of the daemon offer to others, for as long as they serve."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from prx.core.errors import ConflictError, NotFoundError

T = TypeVar("T")


class Registry(Generic[T]):
    """Things of one kind by name. Offering is a block: withdrawn when it ends."""

    def __init__(self, kind: str) -> None:
        """Start empty; `kind` is the word for one of them in errors."""
        self._kind = kind
        self._offers: dict[str, tuple[T, str]] = {}
        self._listeners: list[Callable[[str], None]] = []

    def names(self) -> list[str]:
        """Return what is offered now, by name."""
        return sorted(self._offers)

    def get(self, name: str) -> T:
        """Return the one called `name`.

        Raises:
            NotFoundError: nobody offers it; says what there is.
        """
        if (offer := self._offers.get(name)) is None:
            there = ", ".join(self.names()) or "none"
            raise NotFoundError(f'{self._kind} "{name}" not found; there is {there}')
        return offer[0]

    @contextmanager
    def offering(self, name: str, thing: T, source: str) -> Iterator[None]:
        """Offer `thing`, which `source` brings, for the length of the block.

        Raises:
            ConflictError: the name is taken; says by whom.
        """
        if (taken := self._offers.get(name)) is not None:
            raise ConflictError(
                f'{self._kind} "{name}" is already offered by {taken[1]}: remove one of the two'
            )
        self._offers[name] = thing, source
        self._tell(name)
        try:
            yield
        finally:
            del self._offers[name]
            self._tell(name)

    @contextmanager
    def listening(self, tell: Callable[[str], None]) -> Iterator[None]:
        """Call `tell` with each name that is offered or withdrawn, for the length of the block."""
        self._listeners.append(tell)
        try:
            yield
        finally:
            self._listeners.remove(tell)

    def _tell(self, name: str) -> None:
        for tell in self._listeners:
            tell(name)
