"""What a server asks of its client, which is us: passed on to whoever's call runs there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from prx.core.upstream import Ask, UpstreamError

_REFUSED: Final = -32600


class Questions:
    """Who could be asked, on one server. The protocol does not say on behalf of which call a server asks."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._open: list[Ask | None] = []

    @contextmanager
    def answered_by(self, ask: Ask | None) -> Iterator[None]:
        """Pass questions to `ask` while a call runs; None is a caller that cannot be asked."""
        self._open.append(ask)
        try:
            yield
        finally:
            self._open.remove(ask)

    async def pass_on(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the caller answers.

        Raises:
            UpstreamError: nobody calls, several do, or the only one cannot be asked or refuses.
        """
        if len(self._open) > 1:
            raise UpstreamError(
                "several calls run, and nobody can tell for which of them this asks", _REFUSED
            )
        ask = self._open[0] if self._open else None
        if ask is None:
            raise UpstreamError("there is nobody who could be asked", _REFUSED)
        return await ask(method, params)
