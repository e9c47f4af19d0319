"""Whoever waits for a change hears of it once, however many there were."""

import asyncio

from prx.runtime.changes import Changes


async def test_waiting_ends_with_the_next_change_and_tells_how_many_there_were() -> None:
    changes = Changes()
    waiting = [asyncio.create_task(changes.after(0)) for _ in range(2)]
    await asyncio.sleep(0)
    changes.mark()
    changes.mark()
    assert await asyncio.gather(*waiting) == [2, 2]


async def test_a_change_before_the_waiting_is_not_missed() -> None:
    changes = Changes()
    changes.mark()
    assert await changes.after(0) == 1
