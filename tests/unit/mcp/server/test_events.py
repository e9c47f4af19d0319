"""What was sent is kept for its own session, and no more of it than is said."""

from mcp.server.streamable_http import EventMessage
from mcp_types import JSONRPCNotification

from prx.mcp.server.caller import Caller
from prx.mcp.server.events import SESSION, Events
from prx.mcp.server.sessions import Session

CALLER = Caller("tok", "test", frozenset(), "req", lambda: True)


def message(text: str) -> JSONRPCNotification:
    return JSONRPCNotification(jsonrpc="2.0", method="x", params={"text": text})


async def replayed(events: Events, last: str) -> list[str]:
    found: list[str] = []

    async def take(event: EventMessage) -> None:
        assert isinstance(event.message, JSONRPCNotification)
        assert event.message.params is not None
        found.append(event.message.params["text"])

    await events.replay_events_after(last, take)
    return found


async def test_only_what_came_later_on_the_same_stream_of_the_same_session_is_replayed() -> None:
    events, mine, theirs = Events(), Session(CALLER, 0), Session(CALLER, 0)
    SESSION.set(mine)
    first = await events.store_event("1", None)
    await events.store_event("1", message("a"))
    await events.store_event("2", message("another stream"))
    SESSION.set(theirs)
    await events.store_event("1", message("another session"))
    assert await replayed(events, first) == []
    SESSION.set(mine)
    await events.store_event("1", message("b"))
    assert await replayed(events, first) == ["a", "b"]
    assert await replayed(events, "nonsense") == []
    assert await replayed(events, "\u0663") == []
    events.forget(mine)
    assert await replayed(events, first) == []


async def test_the_oldest_are_dropped_by_number_and_by_size() -> None:
    SESSION.set(Session(CALLER, 0))
    few = Events(max_events=3)
    numbers = [await few.store_event("1", message(str(n))) for n in range(5)]
    assert await replayed(few, numbers[1]) == []
    assert await replayed(few, numbers[2]) == ["3", "4"]
    small = Events(max_bytes=2_000)
    first = await small.store_event("1", None)
    for _ in range(5):
        await small.store_event("1", message("x" * 900))
    assert await replayed(small, first) == []
    assert small._bytes <= 2_000
