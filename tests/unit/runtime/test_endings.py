"""Endings: each part gets its time, and none keeps the next from its own."""

import asyncio

import pytest

from prx.runtime.endings import end
from tests.support.waiting import PATIENCE_SECS


async def stuck() -> None:
    """Swallow one cancellation, as a part that is wedged would."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


async def test_a_part_that_ends_in_its_time_is_waited_for() -> None:
    ended = asyncio.Event()

    async def part() -> None:
        await asyncio.to_thread(ended.set)

    await end("part", part(), within_secs=30, forced=asyncio.Event())
    assert ended.is_set()


async def test_a_part_that_does_not_end_is_left_behind_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    await end("the store", stuck(), within_secs=0.01, forced=asyncio.Event())
    assert "a part does not end; it is left behind part='the store'" in capsys.readouterr().err


async def test_a_part_that_fails_is_logged_and_hurts_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    async def fails() -> None:
        raise OSError("disk gone")

    await end("part", fails(), within_secs=30, forced=asyncio.Event())
    assert "OSError: disk gone" in capsys.readouterr().err


async def test_once_forced_a_long_time_limit_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    # The part never ends: the wait is only paid.
    monkeypatch.setattr("prx.runtime.endings._FORCED_SECS", 0.01)
    forced = asyncio.Event()
    ending = asyncio.ensure_future(end("part", stuck(), within_secs=1e6, forced=forced))
    await asyncio.wait({ending}, timeout=0)
    forced.set()
    async with asyncio.timeout(PATIENCE_SECS):
        await ending
