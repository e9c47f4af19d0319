"""Background work: done to its end, and told where nobody else tells."""

import asyncio

import pytest

from prx.core.errors import ConflictError
from prx.runtime.logging import get_logger
from prx.runtime.tasks import Tasks


async def refuse(begun: asyncio.Event, go_on: asyncio.Event) -> None:
    begun.set()
    await go_on.wait()
    raise ConflictError("not now")


async def test_a_refusal_is_told_to_who_waits_and_not_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    ended = asyncio.Event()
    tasks = Tasks(get_logger("test"), ended.set)
    go_on = asyncio.Event()
    go_on.set()
    with pytest.raises(ConflictError):
        await tasks.whole(refuse(asyncio.Event(), go_on))
    await ended.wait()
    assert capsys.readouterr().err == ""


async def test_a_refusal_that_nobody_waits_for_any_more_is_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = asyncio.Event()
    tasks = Tasks(get_logger("test"), ended.set)
    begun, go_on = asyncio.Event(), asyncio.Event()
    waiting = asyncio.ensure_future(tasks.whole(refuse(begun, go_on)))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await ended.wait()
    assert "work in the background was refused" in capsys.readouterr().err


async def test_a_fault_is_in_the_log_whoever_waits_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    ended = asyncio.Event()
    tasks = Tasks(get_logger("test"), ended.set)
    with pytest.raises(RuntimeError):
        await tasks.whole(fail())
    await ended.wait()
    assert "work in the background failed" in capsys.readouterr().err
