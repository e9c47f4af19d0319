"""Streams of the log on real sockets: resumed, slow, stalled, many, gone, and ended."""

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from prx.api import log_stream, sse
from prx.api.deps import STREAMS
from prx.api.sse import Streams
from prx.core.ids import iso_utc, now_utc
from prx.core.levels import LogLevel
from prx.runtime.logs.book import LogBook
from tests.integration.api.api_harness import Api
from tests.support.event_stream import EventReader, Told, following
from tests.support.waiting import PATIENCE_SECS, eventually

STREAM = "/api/v1/logs/stream"


def put(book: LogBook, message: str, *, level: LogLevel = "info", module: str = "daemon") -> None:
    """Write a line of now, as the log does."""
    timestamp = iso_utc(now_utc())
    body = {"timestamp": timestamp, "level": level, "module": module, "message": message}
    book.put((level, module), timestamp, json.dumps(body).encode())


def said(events: list[Told]) -> list[str]:
    return [event.data["message"] for event in events]


def streams_of(api: Api) -> Streams:
    assert api.app is not None
    return api.app[STREAMS]


async def begun(reader: EventReader) -> EventReader:
    """Return the reader once it gets what is logged from now on: the first comment says so."""
    assert await reader.next() == Told("")
    return reader


async def test_lines_come_as_they_are_logged_with_ids_and_as_entries(api: Api, book: LogBook) -> None:
    put(book, "before")
    async with following(api.port, STREAM, api.token) as reader:
        assert reader.status == 200
        assert reader.headers["Content-Type"] == "text/event-stream"
        assert reader.headers["Cache-Control"] == "no-store"
        assert {"X-Request-Id", "X-RateLimit-Limit"} <= reader.headers.keys()
        await begun(reader)
        put(book, "one")
        put(book, "two")
        first, second = await reader.take(2)
        assert (first.event, second.event) == ("log", "log")
        assert said([first, second]) == ["one", "two"]
        assert list(first.data) == ["timestamp", "level", "module", "message"]
        assert int(first.id or 0) < int(second.id or 0)


@pytest.mark.parametrize("path", [STREAM, "/api/v1/logs?stream=true"])
async def test_both_paths_filter(api: Api, book: LogBook, path: str) -> None:
    query = f"{path}{'&' if '?' in path else '?'}level=warn&module=plugins"
    async with following(api.port, query, api.token) as reader:
        await begun(reader)
        put(book, "no: level", module="plugins")
        put(book, "no: module", level="error")
        put(book, "yes", level="error", module="plugins::catalogue")
        assert said([await reader.next_event()]) == ["yes"]


async def test_earlier_lines_come_first_where_a_time_is_given(api: Api, book: LogBook) -> None:
    for number in range(10):
        put(book, f"{number}")
    async with following(api.port, f"{STREAM}?since=1h&limit=3", api.token) as reader:
        assert said(await reader.take(3)) == ["7", "8", "9"]
        put(book, "live")
        assert said(await reader.take(1)) == ["live"]
    later = iso_utc(now_utc() + timedelta(hours=1))
    async with following(api.port, f"{STREAM}?since={later}", api.token) as reader:
        await begun(reader)
        put(book, "next")
        assert said(await reader.take(1)) == ["next"]


async def test_a_reader_resumes_behind_the_last_line_it_has(api: Api, book: LogBook) -> None:
    async with following(api.port, STREAM, api.token) as reader:
        await begun(reader)
        for number in range(5):
            put(book, f"{number}")
        known = (await reader.take(2))[-1].id
    async with following(api.port, STREAM, api.token, last_id=known) as reader:
        assert said(await reader.take(3)) == ["2", "3", "4"]
        put(book, "5")
        assert said(await reader.take(1)) == ["5"]


async def test_a_reader_resumes_from_disk_what_memory_has_forgotten(api: Api, book: LogBook) -> None:
    put(book, "first")
    known = str(book.last_seq)
    for number in range(9_000):
        put(book, f"{number}")
    assert book.in_memory_after(int(known)) is None
    async with following(api.port, STREAM, api.token, last_id=known) as reader:
        assert said(await reader.take(9_000)) == [f"{number}" for number in range(9_000)]
        put(book, "live")
        assert said(await reader.take(1)) == ["live"]


async def test_a_reader_that_missed_too_much_is_told_how_much(
    api: Api, book: LogBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The bound is what is tested; as many lines as it allows would show no more.
    monkeypatch.setattr(log_stream, "_MAX_MISSED", 100)
    put(book, "first")
    known = str(book.last_seq)
    for number in range(9_000):
        put(book, f"{number}")
    async with following(api.port, STREAM, api.token, last_id=known) as reader:
        lost, *events = await reader.take(101)
        assert lost == Told("dropped", {"dropped": 8_900})
        assert said(events) == [f"{number}" for number in range(8_900, 9_000)]


@pytest.mark.parametrize("known", ["999999999999999999", "junk", "-1", ""])
async def test_an_id_that_is_none_begins_now(api: Api, book: LogBook, known: str) -> None:
    put(book, "before")
    async with following(api.port, STREAM, api.token, last_id=known) as reader:
        await begun(reader)
        put(book, "after")
        assert said(await reader.take(1)) == ["after"]


async def test_a_reader_too_slow_for_the_lines_is_told_how_many_of_its_own_it_lost(
    api: Api, book: LogBook
) -> None:
    async with following(api.port, f"{STREAM}?module=mine", api.token, receive_bytes=4096) as reader:
        await begun(reader)
        for number in range(40_000):
            put(book, f"{number:0200}", module="mine" if number % 2 else "other")
            if number % 500 == 0:
                await asyncio.sleep(0)  # the others' turn
        put(book, "last", module="mine")
        lost, got = 0, []
        while not got or got[-1] != "last":
            event = await reader.next_event()
            if event.event == "dropped":
                lost += event.data["dropped"]
            else:
                got.append(event.data["message"])
        assert lost > 0
        assert lost + len(got) == 20_001
        assert got == sorted(got)


async def test_stalled_readers_hold_no_lines_and_slow_nobody(api: Api, book: LogBook) -> None:
    async with AsyncExitStack() as open_streams:
        for _ in range(100):
            await open_streams.enter_async_context(following(api.port, STREAM, api.token, receive_bytes=4096))
            api.now += 1
        await eventually(lambda: len(streams_of(api)) == 100)
        async with following(api.port, STREAM, api.token) as quick:
            await begun(quick)
            for batch in range(20):
                for number in range(500):
                    put(book, f"{batch}/{number}/{'x' * 1000}")
                assert len(await quick.take(500)) == 500
        assert (await api.get("/api/v1/logs?limit=1")).status == 200
        stalled = [stream for stream in streams_of(api)._open if stream._writing]
        assert len(stalled) == 100
        # Of 10 MB that were logged meanwhile.
        assert all(stream._transport.get_write_buffer_size() < 200_000 for stream in stalled)
    await eventually(lambda: len(streams_of(api)) == 0)


async def test_only_so_many_streams_are_open(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # The bound is what is tested; hundreds of streams would show no more.
    monkeypatch.setattr(sse, "_MAX_STREAMS", 1)
    async with following(api.port, STREAM, api.token) as reader:
        await begun(reader)
        refused = await api.get(STREAM)
        assert (refused.status, refused.error["code"]) == (503, "unavailable")
    await eventually(lambda: len(streams_of(api)) == 0)


async def test_a_reader_that_leaves_is_noticed_whatever_it_does(api: Api, book: LogBook) -> None:
    async with following(api.port, STREAM, api.token) as reader:
        await begun(reader)
        assert len(streams_of(api)) == 1
    await eventually(lambda: len(streams_of(api)) == 0)
    async with following(api.port, STREAM, api.token, receive_bytes=4096) as reader:
        await begun(reader)
        for _ in range(8_000):
            put(book, "x" * 400)
        assert (await reader.next_event()).event == "log"
    await eventually(lambda: len(streams_of(api)) == 0)


async def test_a_comment_shows_that_the_stream_lives_and_the_token_is_looked_at_again(
    api: Api, fast_streams: Streams, book: LogBook
) -> None:
    secret, token = api.tokens.create("short", scopes=["logs:read"])
    async with following(api.port, STREAM, secret) as reader:
        for _ in range(3):
            assert await reader.next() == Told("")
        put(book, "line")
        assert said([await reader.next_event()]) == ["line"]
        api.tokens.revoke(token.id)
        assert (await reader.rest()).replace(b":\n\n", b"") == b""
    assert len(fast_streams) == 0


async def test_a_reader_that_takes_nothing_for_too_long_is_cut_off(
    api: Api, fast_streams: Streams, book: LogBook
) -> None:
    async with following(api.port, STREAM, api.token, receive_bytes=4096) as reader:
        await begun(reader)
        for _ in range(8_000):
            put(book, "x" * 400)
        await eventually(lambda: len(fast_streams) == 0)


async def test_no_time_limit_of_requests_ends_a_stream(api: Api, book: LogBook) -> None:
    api.configure(request_timeout_secs=1)
    async with following(api.port, STREAM, api.token) as reader:
        await begun(reader)
        started = asyncio.get_running_loop().time()
        await eventually(lambda: asyncio.get_running_loop().time() - started > 1.5)
        put(book, "still there")
        assert said(await reader.take(1)) == ["still there"]


async def test_a_drain_ends_streams_at_once_also_stalled_ones(api: Api, book: LogBook) -> None:
    async with (
        following(api.port, STREAM, api.token) as quick,
        following(api.port, STREAM, api.token, receive_bytes=4096) as stalled,
    ):
        await begun(quick)
        await begun(stalled)
        for _ in range(8_000):
            put(book, "x" * 400)
        await quick.take(8_000)
        assert api.runner is not None
        async with asyncio.timeout(PATIENCE_SECS):
            await api.runner.drain(10 * PATIENCE_SECS)
            assert await quick.rest() == b""
        await eventually(lambda: len(streams_of(api)) == 0)


@pytest.fixture
def fast_streams(api: Api) -> Streams:
    """Streams whose hearts beat quickly and whose patience is short."""
    streams = streams_of(api)
    streams._beat_secs, streams._stalled_secs = 0.05, 0.3
    return streams
