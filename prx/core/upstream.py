"""Connected MCP servers, as whoever passes them on sees them: what they have beside tools, and raw requests to them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, Protocol

from prx.core.errors import PrxError

Progress = Callable[[float, float | None, str | None], None]
"""Told how far a request is: progress, total and message, as MCP defines them. Must not block."""


class Ask(Protocol):
    """The MCP client that calls, as far as it can be asked."""

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What it says it can be asked, as MCP has it: `elicitation`, `sampling`, `roots`, each where it can."""

    async def __call__(self, method: str, params: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Ask for `elicitation/create`, `sampling/createMessage` or `roots/list`, and return the client's result.

        Raises:
            UpstreamError: it cannot be asked, or refuses.
        """


ItemKind = Literal["resources", "resourceTemplates", "prompts"]
"""What a server lists beside tools, by the key of MCP's result."""

Notice = Callable[[str, str, Mapping[str, Any]], None]
"""Told of a server's notification: the server's name, the method and its params. Must not block."""


CONNECTED: Final = "prx/connected"
"""The method under which a `Notice` hears that a server was connected: it knows nothing of what was asked before."""


class UpstreamError(PrxError):
    """A server answered a request with an error of JSON-RPC."""

    code = "upstream_error"

    def __init__(self, message: str, number: int, data: Any = None) -> None:
        """Keep the error's own `number` and `data` for whoever passes them on."""
        super().__init__(message)
        self.number = number
        self.data = data


class Upstream(Protocol):
    """One connected MCP server. Values are JSON as MCP spells them, whichever of its versions the server speaks."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What it says it can: `resources`, `prompts`, `completions`, `logging`, ..."""

    def shown_name(self, own: str) -> str:
        """Return the name under which its prompt `own` is offered: with the configured prefix, as its tools are."""

    async def items(self, kind: ItemKind) -> Sequence[Mapping[str, Any]]:
        """Return what it lists of `kind`, all pages; empty where it has none.

        Raises:
            UpstreamError: it answered with an error.
            UnavailableError: it does not answer.
        """

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        progress: Progress | None = None,
        ask: Ask | None = None,
    ) -> dict[str, Any]:
        """Return its result, which is no question: `ask` is who is asked, where the configuration does not answer.

        Cancelling this cancels the request there.

        `params` come without the `_meta` keys that belong to a connection: progress token and
        `io.modelcontextprotocol/*`.

        Raises:
            UpstreamError: it answered with an error.
            UnavailableError: it does not answer, or the connection ended meanwhile.
        """


class Upstreams(Protocol):
    """Every MCP server that is connected now."""

    def connected(self) -> Sequence[Upstream]:
        """Return them by name."""

    def noticing(self, notice: Notice) -> AbstractContextManager[None]:
        """Tell `notice` of the servers' notifications for the length of the block.

        Those are `notifications/resources/list_changed`, `.../resources/updated`, `.../prompts/list_changed` and
        `.../message`; a server that connects or goes is told as a change of its lists, one that connects also as
        `CONNECTED`.
        """
