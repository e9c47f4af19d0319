"""What a server asks of its client, which is us: its own table answers, or whoever's call it asks for."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from prx.config.integrations import McpServerConfig
from prx.core.upstream import Ask, UpstreamError
from prx.runtime.logging import get_logger

REFUSED: Final = -32600
_ROOTS: Final = "roots/list"
_SAMPLING: Final = "sampling/createMessage"
_ELICITATION: Final = "elicitation/create"
_CAPABILITIES: Final = {_ROOTS: "roots", _SAMPLING: "sampling", _ELICITATION: "elicitation"}
"""What whoever can be asked declares."""
_MAX_OPEN: Final = 32
_PATIENCE_SECS: Final = 600.0
"""How long a client may take to answer: there may be a person behind it."""

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Answers one kind of question by its params; raises UpstreamError where it does not."""

_log = get_logger("mcp")


class UnansweredError(UpstreamError):
    """There is nobody who could answer."""

    def __init__(self, message: str) -> None:
        """Say why."""
        super().__init__(message, REFUSED)


class Questions:
    """Who is asked what, of one server."""

    def __init__(
        self,
        server: str,
        config: McpServerConfig,
        sampling: Answer | None = None,
        *,
        patience_secs: float = _PATIENCE_SECS,
    ) -> None:
        """Answer as the table `config` says.

        Args:
            server: the server's name.
            config: its table.
            sampling: has a model answer, where the table lets it.
            patience_secs: how long the client that calls may take.
        """
        self._server = server
        self._roots = [{"uri": root.as_uri(), "name": root.name or str(root)} for root in config.roots]
        self._own: dict[str, Answer] = {}
        if config.roots:
            self._own[_ROOTS] = self._list_roots
        if sampling is not None:
            self._own[_SAMPLING] = sampling
        self._ask_clients = config.ask_clients
        self._patience_secs = patience_secs
        self.methods = frozenset(_CAPABILITIES if config.ask_clients else self._own)
        """What the server may ask at all."""
        self._open: list[Ask | None] = []
        self._asked = 0

    def capabilities(self, ask: Ask | None) -> dict[str, Any]:
        """Return what can be asked during a request on behalf of `ask`, as MCP declares it."""
        found: dict[str, Any] = {_CAPABILITIES[method]: {} for method in self._own}
        return found if ask is None or not self._ask_clients else {**ask.capabilities, **found}

    @contextmanager
    def answered_by(self, ask: Ask | None) -> Iterator[None]:
        """Note that a request on behalf of `ask` runs; None is a caller that cannot be asked."""
        self._open.append(ask)
        try:
            yield
        finally:
            self._open.remove(ask)

    async def answer(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a question that does not say for which request it is, as in the older era.

        Raises:
            UpstreamError: nobody answers, or whoever was asked refuses. Input that nobody can give is declined instead.
        """
        try:
            return await self.answer_for(self._only_caller(method), method, params)
        except UnansweredError as error:
            if method != _ELICITATION:
                raise
            _log.info("a server's question is declined", server=self._server, reason=error.message)
            return {"action": "decline"}

    async def answer_for(self, ask: Ask | None, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a question that belongs to a request on behalf of `ask`.

        Raises:
            UnansweredError: there is nobody to answer, or too much is asked at once.
            UpstreamError: whoever was asked refuses.
        """
        if self._asked >= _MAX_OPEN:
            raise UnansweredError(f"it has {_MAX_OPEN} questions open already")
        self._asked += 1
        try:
            if (own := self._own.get(method)) is not None:
                return await own(params)
            if ask is None or not self._ask_clients or not _can_answer(ask, method, params):
                raise UnansweredError(f"it asks for {method}, and nobody who calls could answer that")
            async with asyncio.timeout(self._patience_secs):
                return await ask(method, params)
        except TimeoutError:
            raise UnansweredError(f"no answer to {method} came within {self._patience_secs:g} s") from None
        finally:
            self._asked -= 1

    def _only_caller(self, method: str) -> Ask | None:
        if method not in self._own and len(self._open) > 1:
            raise UnansweredError("several calls run, and nobody can tell for which of them this asks")
        return self._open[0] if self._open else None

    async def _list_roots(self, _params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"roots": self._roots}


def _can_answer(ask: Ask, method: str, params: Mapping[str, Any]) -> bool:
    """Tell whether a client said that it can be asked this, and in this way."""
    declared = ask.capabilities.get(_CAPABILITIES.get(method, ""))
    if not isinstance(declared, Mapping):
        return False
    # Who names no way to be asked for input knows forms alone, as all did before there were others.
    return method != _ELICITATION or params.get("mode", "form") in (declared or ("form",))
