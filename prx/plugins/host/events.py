"""`prx:host/events`: plugins tell the bus; the bus tells hook plugins."""

import asyncio
from typing import Any

from prx.core.errors import BadRequestError
from prx.core.event import MAX_DEPTH, check_topic, parse_payload
from prx.plugins.calls import Call
from prx.plugins.subscriptions import Subscriptions
from prx.runtime.bus import HOST, Bus

_MAX_PUBLISHED_PER_CALL = 256


class Events:
    """Publishing on behalf of guests, from their threads."""

    def __init__(self, bus: Bus, loop: asyncio.AbstractEventLoop) -> None:
        """Hand over to `bus`, which lives on `loop`."""
        self._bus = bus
        self._loop = loop

    def publish(self, call: Call, topic: str, payload: str) -> None:
        """Publish as the plugin, one step deeper than the event that its call handles.

        Raises:
            BadRequestError: topic or payload is wrong, the topic is the host's own, or too much was published.
        """
        check_topic(topic)
        own = f"prx.plugin.{call.plugin}."
        if topic.partition(".")[0] == HOST and not topic.startswith(own):
            raise BadRequestError(
                f'topic "{topic}": topics under "{HOST}" are the host\'s; this plugin has "{own}*"'
            )
        value = parse_payload(payload)
        depth = call.context.depth + 1
        if depth > MAX_DEPTH:
            raise BadRequestError(
                f"events that led to this one are {MAX_DEPTH} deep already: plugins call each other"
            )
        if call.published >= _MAX_PUBLISHED_PER_CALL:
            raise BadRequestError(f"a call may publish {_MAX_PUBLISHED_PER_CALL} events")
        call.published += 1
        self._loop.call_soon_threadsafe(self._publish, topic, value, f"plugin:{call.plugin}", depth)

    def subscribe(self, call: Call, pattern: str) -> int:
        """Have the plugin's hook hear of what matches `pattern`; return the subscription's number.

        Raises:
            BadRequestError: only hook plugins receive events; or it is no pattern, or one too many.
        """
        return self._subscriptions(call).add(pattern)

    def unsubscribe(self, call: Call, subscription: int | str) -> None:
        """End a subscription that the plugin made.

        Raises:
            BadRequestError: it has no such subscription.
        """
        self._subscriptions(call).remove(int(subscription))

    def _subscriptions(self, call: Call) -> Subscriptions:
        if (subscriptions := call.owner.subscriptions) is None:
            raise BadRequestError(f'plugin "{call.plugin}" exports no hook: only hook plugins may subscribe')
        return subscriptions

    def _publish(self, topic: str, payload: Any, source: str, depth: int) -> None:
        self._bus.publish(topic, payload, source=source, depth=depth)
