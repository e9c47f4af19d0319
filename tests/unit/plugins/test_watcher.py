"""When the watcher has its caller look, and how it ends."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from prx.plugins import watcher
from prx.plugins.watcher import changes
from tests.support.waiting import PATIENCE_SECS


@pytest.fixture(autouse=True)
def nothing_but_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    # No look comes by itself.
    monkeypatch.setattr(watcher, "_POLL_SECS", 3600.0)


async def test_a_consumer_may_leave_while_it_has_the_turn(tmp_path: Path) -> None:
    async with aclosing(changes(tmp_path, asyncio.Event(), watch=True)) as signs:
        async for look in signs:
            assert look
            break


async def test_what_is_told_of_is_a_file_that_is_whole_a_move_a_link_a_mode_and_a_removal(
    tmp_path: Path,
) -> None:
    def written() -> None:
        (tmp_path / "plugin.wasm").write_bytes(b"")

    def moved() -> None:
        (tmp_path / "plugin.wasm").rename(tmp_path / "other.wasm")

    def linked() -> None:
        (tmp_path / "link.wasm").hardlink_to(tmp_path / "other.wasm")

    def allowed() -> None:
        (tmp_path / "link.wasm").chmod(0o600)

    def removed() -> None:
        (tmp_path / "link.wasm").unlink()

    async with aclosing(changes(tmp_path, asyncio.Event(), watch=True)) as signs:
        assert await anext(signs)  # the first look, a moment after the start
        for change in (written, moved, linked, allowed, removed):
            change()
            assert await asyncio.wait_for(anext(signs), PATIENCE_SECS)


async def test_a_directory_that_comes_later_is_watched_with_all_that_is_in_it(tmp_path: Path) -> None:
    async with aclosing(changes(tmp_path, asyncio.Event(), watch=True)) as signs:
        assert await anext(signs)
        (tmp_path / "plugin" / "build").mkdir(parents=True)
        for number in range(3):  # the first may be told of by the directory's own coming
            (tmp_path / "plugin" / "build" / f"{number}.wasm").write_bytes(b"")
            assert await asyncio.wait_for(anext(signs), PATIENCE_SECS)


async def test_without_watching_only_the_caller_is_a_reason_to_look(tmp_path: Path) -> None:
    again = asyncio.Event()
    async with aclosing(changes(tmp_path, again, watch=False)) as signs:
        assert not await anext(signs)
        again.set()
        assert await anext(signs)
