"""The PRX `hook` world: a plugin that hears what happens, and may veto calls of tools."""

from collections.abc import Mapping
from typing import Any

from prx.core.errors import ForbiddenError, PrxError
from prx.core.event import Event
from prx.core.tool import CallContext, ToolFailure, ToolSpec
from prx.plugins.abi.wit import Prim, ResultType
from prx.plugins.subscriptions import Subscriptions
from prx.plugins.worlds.binding import Binding, Guest, Signature, to_json
from prx.runtime.tools import BEFORE_EXECUTE

INTERFACE = "prx:plugin/hook-exports"

ON_EVENT = Signature([("event", Prim.STRING), ("payload-json", Prim.STRING)], ResultType(None, Prim.STRING))
SIGNATURES = {"on-event": ON_EVENT}


class Hook:
    """One generation's `on-event`, as a listener and as a veto."""

    def __init__(self, plugin: str, guest: Guest, on_event: Binding, subscriptions: Subscriptions) -> None:
        """Tell `guest` of the events that `subscriptions` match."""
        self.plugin = plugin
        self.name = f"plugin:{plugin}"
        self._guest = guest
        self._on_event = on_event
        self._subscriptions = subscriptions

    def wants(self, topic: str, source: str) -> bool:
        """Tell whether to deliver events: what the plugin publishes itself are not, nor what it is asked about."""
        return source != self.name and topic != BEFORE_EXECUTE and self._subscriptions.matches(topic)

    async def deliver(self, event: Event) -> ToolFailure | None:
        """Tell the plugin; return why it did not take the event.

        Raises:
            ConflictError: the plugin is in quarantine.
            UnavailableError: too many calls wait for it already.
        """
        context = CallContext(depth=event.depth)
        result = await self._guest.call(self._on_event, (event.topic, to_json(event.payload)), context)
        return result.error

    async def before_execute(
        self, spec: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> None:
        """See `Veto.before_execute`: an error vetoes, and so does every failure to answer."""
        if not self._subscriptions.matches(BEFORE_EXECUTE):
            return
        asked = {
            "tool": spec.name,
            "source": spec.source,
            "arguments": arguments,
            "request_id": context.request_id,
            "session_id": context.session_id,
        }
        try:
            result = await self._guest.call(self._on_event, (BEFORE_EXECUTE, to_json(asked)), context)
        except PrxError as error:
            raise self._veto(spec, f"which could not be asked: {error.message}") from error
        if (failure := result.error) is None:
            return
        said = "which says" if failure.code == "tool_error" else f"which failed ({failure.code})"
        raise self._veto(spec, f"{said}: {failure.message}")

    def _veto(self, spec: ToolSpec, why: str) -> ForbiddenError:
        return ForbiddenError(
            f'the call of "{spec.name}" was vetoed by plugin "{self.plugin}", {why}',
            details={"tool": spec.name, "plugin": self.plugin},
        )
