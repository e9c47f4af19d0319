"""What guests may publish, and who may subscribe."""

import asyncio

import pytest

from prx.core.errors import BadRequestError
from prx.core.event import MAX_DEPTH, MAX_PAYLOAD_BYTES, MAX_TOPIC_BYTES
from prx.core.tool import CallContext
from prx.plugins.host.events import Events
from prx.runtime.bus import Bus
from tests.support.calls import call_of


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def events(bus: Bus) -> Events:
    return Events(bus, asyncio.get_running_loop())


async def test_a_guest_publishes_as_its_plugin_one_step_deeper(bus: Bus, events: Events) -> None:
    call = call_of("weather")
    call.context = CallContext(depth=3)
    with bus.subscribed(lambda _topic, _source: True) as subscription:
        await asyncio.to_thread(events.publish, call, "prx.plugin.weather.changed", '{"rain": true}')
        event = await subscription.take()
    assert (event.topic, event.payload) == ("prx.plugin.weather.changed", {"rain": True})
    assert (event.source, event.depth) == ("plugin:weather", 4)


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("", "{}", "a topic has 1 to 256 bytes, this one has 0"),
        ("a" * (MAX_TOPIC_BYTES + 1), "{}", "this one has 257"),
        ("a.*", "{}", 'without "*"'),
        ("prx.lifecycle.stopping", "{}", 'topics under "prx" are the host\'s; this plugin has "prx.plugin.weather.*"'),
        ("prx.plugin.other.changed", "{}", 'this plugin has "prx.plugin.weather.*"'),
        ("a", "{", "the payload is not JSON"),
        ("a", "NaN", "NaN is not a JSON value"),
        ("a", f'"{"x" * MAX_PAYLOAD_BYTES}"', "a payload has up to 65536 bytes, this one has 65538"),
    ],
)  # fmt: skip
async def test_what_may_not_be_published_is_refused_with_the_reason(
    events: Events, topic: str, payload: str, why: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        events.publish(call_of("weather"), topic, payload)
    assert why in caught.value.message


async def test_plugins_that_call_each_other_come_to_an_end(events: Events) -> None:
    call = call_of("weather")
    call.context = CallContext(depth=MAX_DEPTH)
    with pytest.raises(BadRequestError, match="are 8 deep already: plugins call each other"):
        events.publish(call, "a", "{}")


async def test_one_call_publishes_256_events_and_no_more(events: Events) -> None:
    call = call_of("weather")
    for _ in range(256):
        events.publish(call, "a", "{}")
    with pytest.raises(BadRequestError, match="a call may publish 256 events"):
        events.publish(call, "a", "{}")


async def test_a_plugin_without_a_hook_neither_subscribes_nor_ends_a_subscription(events: Events) -> None:
    for refused in (lambda call: events.subscribe(call, "a.*"), lambda call: events.unsubscribe(call, 1)):
        with pytest.raises(
            BadRequestError, match='"weather" exports no hook: only hook plugins may subscribe'
        ):
            refused(call_of("weather"))
