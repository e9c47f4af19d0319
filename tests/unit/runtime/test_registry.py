"""Registries: one thing under each name, for as long as it serves."""

import pytest

from prx.core.errors import ConflictError, NotFoundError
from prx.runtime.registry import Registry


def test_a_thing_is_there_for_the_length_of_its_block() -> None:
    registry = Registry[int]("number")
    with registry.offering("one", 1, "plugin:a"), registry.offering("two", 2, "plugin:b"):
        assert (registry.get("one"), registry.names()) == (1, ["one", "two"])
        with pytest.raises(NotFoundError, match='number "three" not found; there is one, two'):
            registry.get("three")
    with pytest.raises(NotFoundError, match='number "one" not found; there is none'):
        registry.get("one")


def test_a_taken_name_is_refused_and_stays_with_its_holder() -> None:
    registry = Registry[int]("number")
    with registry.offering("one", 1, "plugin:a"):
        refused = pytest.raises(
            ConflictError, match='number "one" is already offered by plugin:a: remove one'
        )
        with refused, registry.offering("one", 2, "plugin:b"):
            pass
        assert registry.get("one") == 1


def test_who_listens_is_told_what_comes_and_goes_until_the_block_ends() -> None:
    registry, heard = Registry[int]("number"), list[tuple[str, list[str]]]()
    with registry.listening(lambda name: heard.append((name, registry.names()))):
        with registry.offering("one", 1, "plugin:a"):
            assert heard == [("one", ["one"])]
        assert heard[1:] == [("one", [])]
    with registry.offering("two", 2, "plugin:b"):
        assert len(heard) == 2
