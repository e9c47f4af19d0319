"""`GET /events`: what happens in the daemon, as it happens."""

from tests.integration.api.api_harness import Api
from tests.support.event_stream import Told, following

EVENTS = "/api/v1/events"


async def test_events_come_as_they_happen_and_only_those_asked_for(api: Api) -> None:
    async with following(api.port, f"{EVENTS}?topic=prx.tool.*&topic=mine", api.token) as reader:
        assert reader.headers["Content-Type"] == "text/event-stream"
        assert await reader.next() == Told("")
        api.bus.publish("other", 1)
        await api.post("/api/v1/tools/echo/call", json={"arguments": {"text": "x"}})
        api.bus.publish("mine", {"a": ["\ud800", None]}, source="plugin:weather")
        tool = await reader.next_event()
        assert tool.event == "event"
        assert tool.data["topic"].startswith("prx.tool.")
        while (mine := await reader.next_event()).data["topic"] != "mine":
            pass
        assert list(mine.data) == ["id", "topic", "payload", "source", "timestamp"]
        assert (mine.data["payload"], mine.data["source"]) == ({"a": ["\ud800", None]}, "plugin:weather")
        assert mine.id == mine.data["id"]
        assert mine.data["timestamp"].endswith("Z")


async def test_without_a_pattern_everything_comes(api: Api) -> None:
    async with following(api.port, EVENTS, api.token) as reader:
        await reader.next()
        api.bus.publish("a.b.c", None)
        assert (await reader.next_event()).data["topic"] == "a.b.c"


async def test_a_slow_reader_is_told_how_many_it_lost(api: Api) -> None:
    async with following(api.port, EVENTS, api.token) as reader:
        await reader.next()
        for number in range(1500):
            api.bus.publish("a", number)
        got = await reader.take(1024)
        assert [event.data["payload"] for event in got] == list(range(1024))
        assert await reader.next_event() == Told("dropped", {"dropped": 476})
        api.bus.publish("a", "next")
        assert (await reader.next_event()).data["payload"] == "next"


async def test_what_is_no_pattern_is_refused(api: Api) -> None:
    for query in ("topic=", "topic=a..b", "&".join(["topic=a"] * 17)):
        refused = await api.get(f"{EVENTS}?{query}")
        assert (refused.status, refused.error["code"]) == (400, "bad_request")


async def test_it_needs_the_scope(api: Api) -> None:
    token, _ = api.tokens.create("other", scopes=["logs:read"])
    assert (await api.get(EVENTS, token=token)).error["details"] == {"scope": "events:read"}


async def test_nobody_is_subscribed_once_the_reader_has_left(api: Api) -> None:
    assert (await api.call("HEAD", EVENTS)).status == 200
    assert api.bus._subscriptions == set()
