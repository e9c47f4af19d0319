"""Questions to the client during a call: a call on the short way that has one goes on with the SDK, which can ask."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from prx.core.upstream import Ask

REFUSED: Final = -32600
"""The code of the error that a question is refused with."""


class Asking:
    """The way to the client of one call, once there is one. See `Ask`."""

    def __init__(self, wanted: Callable[[], None], capabilities: Mapping[str, Any]) -> None:
        """Call `wanted` when there is a question and no way yet; `capabilities` is what the client can be asked."""
        self.capabilities = capabilities
        self._wanted = wanted
        self._way: asyncio.Future[Ask] = asyncio.get_running_loop().create_future()

    async def __call__(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the client; see `Ask`."""
        if not self._way.done():
            self._wanted()
        # A call that is given up does not take the way from another question.
        way = await asyncio.shield(self._way)
        return await way(method, params)

    def open(self, way: Ask) -> None:
        """Ask by `way` from now on."""
        if not self._way.done():
            self._way.set_result(way)
