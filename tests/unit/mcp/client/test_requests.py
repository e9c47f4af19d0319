"""Requests beside the SDK's session: who waits for an answer gets it, or is told why not."""

import asyncio
from typing import Any

import pytest

from prx.core.errors import UnavailableError
from prx.core.upstream import UpstreamError
from prx.mcp.client.requests import LostError, Requests, SlowError, TooLargeError
from tests.support.waiting import eventually


class Line:
    """A connection whose other end is the test."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.requests = Requests(self.sent.append)

    async def asked(self, **more: Any) -> tuple[asyncio.Task[Any], int]:
        """Send a request and return who waits for it, and its id."""
        waiting = asyncio.ensure_future(self.requests.send("tools/call", {"name": "x"}, 60, **more))
        await eventually(lambda: self.sent)
        return waiting, self.sent[-1]["id"]


@pytest.fixture
def line() -> Line:
    return Line()


async def test_an_answer_reaches_who_asked(line: Line) -> None:
    waiting, number = await line.asked()
    assert line.sent == [{"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "x"}}]
    assert line.requests.take({"jsonrpc": "2.0", "id": number, "result": {"a": 1}})
    assert await waiting == {"a": 1}
    assert line.requests.in_flight == 0


async def test_an_id_that_came_back_as_text_is_known(line: Line) -> None:
    waiting, number = await line.asked()
    assert line.requests.take({"id": str(number), "result": {}})
    assert await waiting == {}


@pytest.mark.parametrize(
    ("answer", "number", "message"),
    [
        ({"error": {"code": -32602, "message": "no", "data": 5}}, -32602, "no"),
        ({"error": {"code": "x"}}, 0, "an error without a message"),
        ({"result": "text"}, 0, "the answer has neither a result nor an error"),
        ({}, 0, "the answer has neither a result nor an error"),
    ],
)
async def test_an_error_is_told(line: Line, answer: dict[str, Any], number: int, message: str) -> None:
    waiting, sent = await line.asked()
    line.requests.take({"id": sent, **answer})
    with pytest.raises(UpstreamError) as raised:
        await waiting
    assert (raised.value.number, raised.value.message) == (number, message)


@pytest.mark.parametrize(
    "message",
    [
        {"id": 7, "result": {}},
        {"id": None, "result": {}},
        {"id": [1], "result": {}},
        {"id": "99999999999999999999", "result": {}},
        {"id": True, "result": {}},
        {"method": "notifications/progress"},
        {"method": "notifications/progress", "params": {"progressToken": 7, "progress": 1}},
        {"id": 1, "method": "ping"},
        {},
    ],
)
async def test_what_is_nobodys_here_is_left_to_the_session(line: Line, message: dict[str, Any]) -> None:
    waiting, _ = await line.asked()
    assert not line.requests.take(message)
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_progress_is_told_as_far_as_it_is_progress(line: Line) -> None:
    told: list[tuple[Any, ...]] = []
    waiting, number = await line.asked(progress=lambda *step: told.append(step))
    assert line.sent[0]["params"]["_meta"] == {"progressToken": number}
    for params in (
        {"progress": 1, "total": 2},
        {"progress": 2, "total": "x", "message": 3},
        {"progress": "x"},
    ):
        told_by = {"method": "notifications/progress", "params": {"progressToken": number, **params}}
        assert line.requests.take(told_by)
    line.requests.take({"id": number, "result": {}})
    await waiting
    assert told == [(1, 2, None), (2, None, None)]


async def test_who_gives_up_tells_the_server(line: Line) -> None:
    waiting, number = await line.asked()
    waiting.cancel()
    await asyncio.wait({waiting})
    assert line.sent[1]["method"] == "notifications/cancelled"
    assert line.sent[1]["params"]["requestId"] == number
    with pytest.raises(SlowError, match=r"no answer to ping within 0\.01 s"):
        await line.requests.send("ping", {}, 0.01)
    assert line.sent[3]["params"]["reason"] == "it took too long"


async def test_the_end_of_the_connection_fails_what_waits_and_what_comes_later(line: Line) -> None:
    waiting, _ = await line.asked()
    line.requests.end("it is over")
    with pytest.raises(LostError, match="it is over"):
        await waiting
    with pytest.raises(UnavailableError, match="it is over"):
        await line.requests.send("ping", {}, 60)


async def test_an_answer_that_is_too_large_fails_its_request_alone(line: Line) -> None:
    waiting, number = await line.asked()
    assert not line.requests.fail("12", TooLargeError("too large", 0))
    assert line.requests.fail(str(number), TooLargeError("too large", 0))
    with pytest.raises(TooLargeError, match="too large"):
        await waiting


async def test_there_is_an_end_to_how_many_wait(line: Line) -> None:
    waiting = [asyncio.ensure_future(line.requests.send("ping", {}, 60)) for _ in range(257)]
    done, rest = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = done
    assert "256 requests wait for an answer already" in str(refused.exception())
    for each in rest:
        each.cancel()
    await asyncio.wait(rest)
