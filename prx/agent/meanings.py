"""What memories and queries mean, by an embedding model. Also the unit that gives memories their vectors."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prx.agent.recollection import SQLITE
from prx.config.schema import MemoryConfig
from prx.core.embedding import Embedder
from prx.core.errors import PrxError
from prx.core.ids import now_utc
from prx.core.provider import ProviderConfigurationError, ProviderError
from prx.core.unit import Problem
from prx.runtime.backoff import Backoff
from prx.runtime.logging import get_logger
from prx.runtime.memory import Meaning, Memory
from prx.runtime.vectors import Bare, normalized

_BATCH: Final = 32
_LOOK_SECS: Final = 1.0
_REST_SECS: Final = 30.0
"""How long no turn waits for a model that gave no vector."""

_log = get_logger("agent::memory")


class Meanings:
    """Gives vectors, where `memory.embedding_model` names who makes them. Without one, words are all there is."""

    name = "agent.embeddings"

    def __init__(self, config: Callable[[], MemoryConfig], embedder: Embedder, memory: Memory) -> None:
        """Ask `embedder`; `config` is asked whenever something counts."""
        self._config = config
        self._embedder = embedder
        self._memory = memory
        self._problem: Problem | None = None
        self._rests_until = 0.0

    async def of(self, query: str) -> Meaning | None:
        """Return what `query` means; None where that is not known, and the words have to do."""
        model = self._model()
        loop = asyncio.get_running_loop()
        if model is None or not self._memory.entries or loop.time() < self._rests_until:
            return None
        try:
            [vector] = await self._embedder.embed([query], "query")
        except ProviderError as error:
            if _concerns_all(error):
                self._note(error)
                self._rests_until = loop.time() + _REST_SECS
            return None
        self._problem = None
        kept = normalized(vector)
        return Meaning(model, kept, self._config().embedding_min_similarity) if kept else None

    def problems(self) -> Iterable[Problem]:
        """Return why memories are found by their words alone, though they should not be."""
        return [] if self._problem is None or self._model() is None else [self._problem]

    def reconfigured(self) -> None:
        """Try at once what the configuration says now."""
        self._problem = None
        self._rests_until = 0.0

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`."""
        started()
        backoff = Backoff()
        done: tuple[str | None, int] | None = None
        while True:
            state = model, _ = self._model(), self._memory.added
            if state == done:
                await asyncio.sleep(_LOOK_SECS)
                continue
            try:
                bare = [] if model is None else await self._memory.without_vector(model, _BATCH)
                if model is not None and bare:
                    await self._memory.put_vectors(model, await self._vectors(bare))
                    self._problem = None
            except PrxError as error:
                self._note(error)
                await asyncio.sleep(backoff.pause_secs())
                continue
            backoff.reset()
            done = None if bare else state

    def _model(self) -> str | None:
        """Return the model whose vectors count; a plugin's storage ranks as it likes."""
        return self._embedder.model if self._config().backend == SQLITE else None

    async def _vectors(self, bare: Sequence[Bare]) -> list[tuple[int, bytes]]:
        """Return a vector for each entry; an empty one for a text that the model does not take."""
        try:
            vectors = await self._embedder.embed([entry.text for entry in bare], "document")
        except ProviderError as error:
            if _concerns_all(error):
                raise
            if len(bare) == 1:
                _log.warning("a memory gets no vector", entry=bare[0].number, reason=error.message)
                return [(bare[0].number, b"")]
            # One of them is refused, and costs the others nothing.
            return [vector for entry in bare for vector in await self._vectors([entry])]
        return [(entry.number, normalized(vector)) for entry, vector in zip(bare, vectors, strict=True)]

    def _note(self, error: PrxError) -> None:
        if self._problem is None or self._problem.reason != error.message:
            _log.warning("memories are found by their words alone", reason=error.message)
            action = "correct memory.embedding_model or its provider; it is tried again by itself"
            self._problem = Problem(self.name, error.message, now_utc(), action)


def _concerns_all(error: ProviderError) -> bool:
    """Tell whether the model cannot be asked, rather than that it refused what it was asked."""
    return error.retryable or isinstance(error, ProviderConfigurationError)
