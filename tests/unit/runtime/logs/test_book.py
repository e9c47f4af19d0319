"""The log book: numbers that only grow, over restarts too, and lines that are found wherever they are."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from prx.core.errors import UnavailableError
from prx.runtime.logs import book as book_module
from prx.runtime.logs.bell import Bell
from prx.runtime.logs.book import LogBook
from prx.runtime.logs.files import log_files
from prx.runtime.logs.query import LogQuery
from tests.support.log_lines import body, messages, stamp
from tests.support.waiting import eventually


@asynccontextmanager
async def opened(directory: Path, *, max_file_bytes: int = 1 << 20) -> AsyncIterator[LogBook]:
    book = LogBook(directory, max_file_bytes=max_file_bytes, max_files=4)
    try:
        yield book
    finally:
        await book.aclose()
        book.close()


def put(book: LogBook, message: str) -> None:
    book.put(("info", "daemon"), stamp(0), body(message))


def test_a_module_is_matched_by_whole_segments_and_a_level_by_the_least() -> None:
    wants = LogQuery(level="warn", module="channel").keys()
    assert wants(("warn", "channel"))
    assert wants(("error", "channel::telegram"))
    assert not wants(("info", "channel"))
    assert not wants(("error", "channels"))
    assert not wants(("error", "my::channel"))


async def test_a_line_is_found_at_once_and_after_a_restart_with_the_same_number(tmp_path: Path) -> None:
    async with opened(tmp_path) as book:
        for number in range(1000):
            put(book, f"{number}")
            if number % 100 == 0:
                page = await book.search(LogQuery(), limit=1)
                assert (page.total, messages(page.lines)) == (number + 1, [f"{number}"])
        before = await book.search(LogQuery(), limit=500)
    async with opened(tmp_path) as book:
        assert book.last_seq == before.lines[-1].seq
        assert await book.search(LogQuery(), limit=500) == before
        put(book, "later")
        after = await book.search(LogQuery(), limit=2)
        assert (after.lines[0], after.total) == (before.lines[-1], 1001)
        assert after.lines[1].seq > before.lines[-1].seq


async def test_lines_of_many_threads_have_one_order_everywhere(tmp_path: Path) -> None:
    async with opened(tmp_path, max_file_bytes=20_000) as book:

        def write(name: str) -> None:
            for number in range(100):
                put(book, f"{name} {number}")

        threads = [threading.Thread(target=write, args=(f"{index}",)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        in_memory = await book.search(LogQuery(), limit=500)
        assert [line.seq for line in in_memory.lines] == sorted({line.seq for line in in_memory.lines})
    async with opened(tmp_path, max_file_bytes=20_000) as book:
        on_disk = await book.search(LogQuery(), limit=400)
        assert on_disk.lines == in_memory.lines[-400:]
        for index in range(8):
            own = [message for message in messages(on_disk.lines) if message.startswith(f"{index} ")]
            assert own == sorted(own, key=lambda message: int(message.split()[1]))


async def test_what_the_disk_does_not_take_is_still_found_in_memory(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the directory should be")
    async with opened(tmp_path / "logs") as book:
        put(book, "lost")
        await eventually(book.problems)
        assert messages((await book.search(LogQuery(), limit=9)).lines) == ["lost"]
        assert "Not a directory" in book.problems()[0].reason or "File exists" in book.problems()[0].reason


async def test_only_so_many_searches_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "_MAX_WAITING", 2)
    async with opened(tmp_path) as book:
        put(book, "line")
        searches = [asyncio.create_task(book.search(LogQuery(), limit=1)) for _ in range(10)]
        await asyncio.wait(searches)
        refused = [each for each in searches if isinstance(each.exception(), UnavailableError)]
        served = [each for each in searches if each.exception() is None]
        assert len(served) >= 2
        assert len(refused) + len(served) == 10
        assert (await book.search(LogQuery(), limit=1)).total == 1


async def test_a_bell_wakes_everybody_who_waits_whatever_thread_rings_it() -> None:
    bell = Bell()
    news: list[str] = []

    async def hear(least: int) -> int:
        await bell.wait(lambda: len(news) >= least)
        return len(news)

    bell.ring()
    waiting = [asyncio.create_task(hear(1)) for _ in range(10)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)

    def tell() -> None:
        news.append("heard")
        bell.ring()
        bell.ring()

    await asyncio.to_thread(tell)
    assert await asyncio.gather(*waiting) == [1] * 10
    assert await hear(1) == 1
    gone = asyncio.create_task(hear(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone})
    bell.ring()


async def test_the_stored_form_is_json_lines(tmp_path: Path) -> None:
    async with opened(tmp_path) as book:
        put(book, "hello")
    [file] = log_files(tmp_path)
    [line] = map(json.loads, file.read_text().splitlines())
    assert list(line) == ["seq", "timestamp", "level", "module", "message"]
