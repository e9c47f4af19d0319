"""The PRX `middleware` world: a step that messages pass, and may be stopped by."""

import json
from collections.abc import Mapping
from typing import Any

from prx.core.errors import ForbiddenError, PrxError
from prx.core.middleware import Stage
from prx.core.tool import CallContext
from prx.plugins.abi.wit import Prim, ResultType
from prx.plugins.worlds.binding import Binding, Guest, Signature, to_json

INTERFACE = "prx:plugin/middleware-exports"

PROCESS = Signature(
    [("stage", Prim.STRING), ("data-json", Prim.STRING)], ResultType(Prim.STRING, Prim.STRING)
)
SIGNATURES = {"process": PROCESS}


class PluginMiddleware:
    """One generation's `process`; see `Middleware`. What fails blocks: a filter that crashes must not let through."""

    def __init__(self, plugin: str, guest: Guest, process: Binding, priorities: Mapping[Stage, int]) -> None:
        """Have `guest` process messages at the stages of `priorities`."""
        self.name = f"plugin:{plugin}"
        self.priorities = priorities
        self._plugin = plugin
        self._guest = guest
        self._process = process

    async def process(self, stage: Stage, data: Any, context: CallContext) -> Any:
        """See `Middleware.process`."""
        text = to_json(data)
        try:
            result = await self._guest.call(self._process, (stage, text), context)
        except PrxError as error:
            raise self._blocked(stage, f"which could not be asked: {error.message}") from error
        if (failure := result.error) is not None:
            said = "which says" if failure.code == "tool_error" else f"which failed ({failure.code})"
            raise self._blocked(stage, f"{said}: {failure.message}")
        try:
            return json.loads(result.output)
        except (ValueError, RecursionError) as error:
            raise self._blocked(stage, f"which gave back what is not JSON: {error}") from error

    def _blocked(self, stage: Stage, why: str) -> ForbiddenError:
        return ForbiddenError(
            f'the message was blocked at the stage {stage} by plugin "{self._plugin}", {why}',
            details={"stage": stage, "plugin": self._plugin},
        )
