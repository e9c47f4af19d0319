"""How much memory went with a store, told apart from what others do at the same time."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wasmtime import Engine, Instance, Module, Store

from prx.plugins.memory_maps import free, freed_by, linear_memories

PAGE = 64 * 1024
_TEXT = (
    '(module (memory (export "m") 1) (func (export "grow") (param i32) (drop (memory.grow (local.get 0)))))'
)


class Guest:
    """A store with one linear memory."""

    engine = Engine()

    def __init__(self, pages: int = 1) -> None:
        self.store = Store(self.engine)
        self._exports = Instance(self.store, Module(self.engine, _TEXT), []).exports(self.store)
        self.grow(pages - 1)

    def grow(self, pages: int) -> None:
        self._exports["grow"](self.store, pages)

    def close(self) -> None:
        self.store.close()


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Run `work` again and again on another thread for the length of the block."""
    over = threading.Event()

    def again() -> None:
        while not over.is_set():
            work()

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(30)


def test_memories_are_listed_with_what_can_be_used_of_them() -> None:
    before = linear_memories()
    guest = Guest(5)
    assert [size for start, size in linear_memories().items() if start not in before] == [5 * PAGE]
    guest.grow(3)
    assert [size for start, size in linear_memories().items() if start not in before] == [8 * PAGE]
    guest.close()
    assert linear_memories() == before


def test_what_a_store_held_is_told_when_it_goes() -> None:
    other, guest = Guest(50), Guest(7)
    assert freed_by(guest.close) == 7 * PAGE
    assert freed_by(lambda: None) == 0
    assert freed_by(other.close) == 50 * PAGE


def test_stores_that_come_grow_and_go_meanwhile_do_not_count() -> None:
    growing = Guest(2)

    def come_grow_and_go() -> None:
        guest = Guest(90)
        growing.grow(1)
        free(guest.close)

    with meanwhile(come_grow_and_go):
        figures = {freed_by(Guest(7).close) for _ in range(60)}
    growing.close()
    # 0 where another memory of the same size or more took its place at once; never somebody else's 90 pages.
    assert 7 * PAGE in figures
    assert figures <= {7 * PAGE, 0}


def test_where_the_kernel_does_not_tell_there_is_no_figure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("prx.plugins.memory_maps._MAPS", tmp_path / "missing")
    assert linear_memories() == {}
    assert freed_by(Guest(3).close) == 0
