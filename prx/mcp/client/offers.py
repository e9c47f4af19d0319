"""The tools of one server in the router: withdrawn and offered one by one, so that a bad one costs itself alone."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from prx.core.errors import ConflictError
from prx.core.tool import Tool
from prx.mcp.client.listing import ListedTool, Listing
from prx.runtime.tools import ToolRouter


class _Offer(NamedTuple):
    listed: ListedTool
    withdraw: ExitStack


class Offers:
    """What is offered now, by the server's own names. It outlasts connections: calls in between are told why."""

    def __init__(self, router: ToolRouter, make: Callable[[ListedTool], Tool]) -> None:
        """Offer what `make` returns in `router`."""
        self._router = router
        self._make = make
        self._offers: dict[str, _Offer] = {}
        self._refused: dict[str, tuple[ListedTool, str]] = {}
        self._left_out: dict[str, str] = {}

    def names(self) -> list[str]:
        """Return the server's own names of what is offered, in its order."""
        return list(self._offers)

    def offered(self) -> dict[str, str]:
        """Return under which name each is offered."""
        return {own: offer.listed.spec.name for own, offer in self._offers.items()}

    def skipped(self) -> dict[str, str]:
        """Return what is not offered, and why."""
        return self._left_out | {own: reason for own, (_, reason) in self._refused.items()}

    def replace(self, listing: Listing) -> None:
        """Offer what is listed, and nothing else of before; what stays the same is not touched."""
        wanted = {tool.own_name: tool for tool in listing.tools}
        for own, offer in list(self._offers.items()):
            if wanted.get(own) != offer.listed:
                self._offers.pop(own).withdraw.close()
        self._left_out = listing.skipped
        self._refused = {}
        for own, tool in wanted.items():
            if own not in self._offers:
                self._offer(own, tool)
        self._offers = {own: self._offers[own] for own in wanted if own in self._offers}

    def retry(self) -> None:
        """Offer what could not be offered before, should its name be free by now."""
        for own, (tool, _) in list(self._refused.items()):
            self._offer(own, tool)

    def close(self) -> None:
        """Withdraw everything."""
        self.replace(Listing([], {}))

    def _offer(self, own: str, tool: ListedTool) -> None:
        with ExitStack() as stack:
            try:
                stack.enter_context(self._router.offering([self._make(tool)]))
            except ConflictError as error:
                self._refused[own] = tool, error.message
            else:
                self._refused.pop(own, None)
                self._offers[own] = _Offer(tool, stack.pop_all())
