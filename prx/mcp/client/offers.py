"""The tools of one server in the router: withdrawn and offered one by one, so that a bad one costs itself alone."""

import asyncio
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from prx.core.errors import ConflictError
from prx.core.tool import Tool
from prx.mcp.client.listing import ListedTool, Listing
from prx.runtime.tools import Offer, ToolRouter

_AT_ONCE: Final = 20


class _Offered(NamedTuple):
    listed: ListedTool
    offer: Offer


class Offers:
    """What is offered now, by the server's own names. It outlasts connections: calls in between are told why."""

    def __init__(self, router: ToolRouter, make: Callable[[ListedTool], Tool]) -> None:
        """Offer what `make` returns in `router`."""
        self._router = router
        self._make = make
        self._offers: dict[str, _Offered] = {}
        self._refused: dict[str, tuple[ListedTool, str]] = {}
        self._left_out: dict[str, str] = {}
        self._turn = 0

    def names(self) -> list[str]:
        """Return the server's own names of what is offered, in its order."""
        return list(self._offers)

    def offered(self) -> dict[str, str]:
        """Return under which name each is offered."""
        return {own: offer.listed.spec.name for own, offer in self._offers.items()}

    def skipped(self) -> dict[str, str]:
        """Return what is not offered, and why."""
        return self._left_out | {own: reason for own, (_, reason) in self._refused.items()}

    async def replace(self, listing: Listing) -> None:
        """Offer what is listed, and nothing else of before; what stays the same is not touched.

        A tool that changed is withdrawn and offered in one step; others get their turn after every few, as checking a
        schema takes its time.
        """
        wanted = {tool.own_name: tool for tool in listing.tools}
        self._keep_only(wanted)
        self._left_out = listing.skipped
        turn = self._turn
        for number, (own, tool) in enumerate(wanted.items()):
            offer = self._offers.get(own)
            if offer is not None and offer.listed == tool:
                continue
            if offer is not None:
                self._withdraw(own)
            self._offer(own, tool)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
                if turn != self._turn:
                    return  # withdrawn meanwhile, or replaced again
        self._offers = {own: self._offers[own] for own in wanted if own in self._offers}

    def retry(self) -> None:
        """Offer what could not be offered before, should its name be free by now."""
        for own, (tool, _) in list(self._refused.items()):
            self._offer(own, tool)

    def close(self) -> None:
        """Withdraw everything."""
        self._keep_only(())
        self._left_out = {}

    def _keep_only(self, names: Collection[str]) -> None:
        self._turn += 1
        self._refused = {}
        for own in [own for own in self._offers if own not in names]:
            self._withdraw(own)

    def _offer(self, own: str, tool: ListedTool) -> None:
        try:
            offer = self._router.offer(self._make(tool))
        except ConflictError as error:
            self._refused[own] = tool, error.message
        else:
            self._refused.pop(own, None)
            self._offers[own] = _Offered(tool, offer)

    def _withdraw(self, own: str) -> None:
        self._router.withdraw(self._offers.pop(own).offer)
