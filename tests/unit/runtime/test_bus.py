"""The bus: everybody who wants an event gets it, nobody can make it wait."""

from prx.core.event import topics
from prx.runtime.bus import Bus


async def test_events_reach_whoever_wants_them_in_order() -> None:
    bus = Bus()
    with bus.subscribed(topics("a.*")) as some, bus.subscribed(lambda _topic, _source: True) as everything:
        bus.publish("a.x", 1, source="plugin:one", depth=3)
        bus.publish("b", {"two": 2})
        taken = everything.__aiter__()
        first, second = await anext(taken), await anext(taken)
        assert (first.topic, first.payload, first.source, first.depth) == ("a.x", 1, "plugin:one", 3)
        assert (second.topic, second.payload, second.source, second.depth) == ("b", {"two": 2}, "prx", 0)
        assert first.id.startswith("evt_")
        assert first.id != second.id
        assert some.queued == 1
        assert await anext(some.__aiter__()) is first


def test_whoever_publishes_is_told_whether_anybody_wants_it() -> None:
    bus = Bus()
    assert not bus.wanted("a.x")
    with bus.subscribed(topics("a.*")), bus.subscribed(lambda _topic, source: source == "plugin:one"):
        assert bus.wanted("a.x")
        assert not bus.wanted("b")
    assert not bus.wanted("a.x")


async def test_a_subscriber_who_does_not_take_loses_the_newest_and_is_told_how_many() -> None:
    bus = Bus()
    with bus.subscribed(topics("*")) as slow:
        for number in range(1030):
            bus.publish("a", number)
        assert (slow.queued, slow.dropped) == (1024, 6)
        taken = slow.__aiter__()
        assert [(await anext(taken)).payload for _ in range(1024)] == list(range(1024))


async def test_nothing_is_kept_for_whoever_has_left() -> None:
    bus = Bus()
    with bus.subscribed(topics("*")) as gone:
        pass
    bus.publish("a", 1)
    assert (gone.queued, gone.dropped) == (0, 0)


async def test_what_waits_is_bounded_by_bytes_as_well_and_room_comes_back() -> None:
    bus = Bus()
    with bus.subscribed(topics("*"), max_bytes=100) as slow, bus.subscribed(topics("*")) as other:
        for _ in range(3):
            bus.publish("a", "x" * 48)
        assert (slow.queued, slow.dropped) == (2, 1)
        bus.publish("a", "x" * 200)
        assert (slow.dropped, other.queued) == (2, 4)
        await slow.take()
        bus.publish("a", "y" * 48)
        assert [(await slow.take()).payload[0] for _ in range(2)] == ["x", "y"]
        bus.publish("a", "z" * 98)
        assert (slow.queued, slow.dropped) == (1, 2)
