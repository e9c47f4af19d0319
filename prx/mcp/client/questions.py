"""What a server asks of its client, which is us: the configuration answers, or whoever's call runs there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from prx.config.integrations import McpServerConfig
from prx.core.upstream import Ask, UpstreamError

_REFUSED: Final = -32600
_ROOTS: Final = "roots/list"
_OF_CLIENTS: Final = frozenset({"sampling/createMessage", "elicitation/create", _ROOTS})


class Questions:
    """Who could be asked, on one server. The protocol does not say on behalf of which call a server asks."""

    def __init__(self, config: McpServerConfig) -> None:
        """Start with nobody but the server's `config`."""
        self._roots = config.roots
        self.methods = (_OF_CLIENTS if config.ask_clients else frozenset()) | (
            {_ROOTS} if config.roots else set()
        )
        """What the server may ask at all."""
        self._open: list[Ask | None] = []

    @contextmanager
    def answered_by(self, ask: Ask | None) -> Iterator[None]:
        """Pass questions to `ask` while a call runs; None is a caller that cannot be asked."""
        self._open.append(ask)
        try:
            yield
        finally:
            self._open.remove(ask)

    async def answer(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the configuration says, or else the caller.

        Raises:
            UpstreamError: nobody calls, several do, or the only one cannot be asked or refuses.
        """
        if method == _ROOTS and self._roots:
            return {"roots": [{"uri": root.as_uri(), "name": root.name or str(root)} for root in self._roots]}
        if len(self._open) > 1:
            raise UpstreamError(
                "several calls run, and nobody can tell for which of them this asks", _REFUSED
            )
        ask = self._open[0] if self._open else None
        if ask is None:
            raise UpstreamError("there is nobody who could be asked", _REFUSED)
        return await ask(method, params)
