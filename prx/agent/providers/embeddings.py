"""The embedding model of the configuration."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from prx.agent.providers.endpoints import Link, endpoint_of
from prx.agent.providers.library import Library
from prx.config.schema import Config
from prx.core.embedding import Purpose
from prx.core.provider import ProviderUnavailableError

_SECS: Final[dict[Purpose, float]] = {"query": 3.0, "document": 60.0}
"""How long an answer is waited for: for what is looked for a turn waits, for what is kept nobody."""
_MAX_CHARS: Final = 8000
"""Of one text; models take about this many tokens at most, and read on no further."""


class Embeddings:
    """See `Embedder`; `memory.embedding_model` names it, and the tables of `[provider]` say how it is asked."""

    def __init__(self, config: Callable[[], Config], library: Library) -> None:
        """Ask what `config` says at the moment of a request, through `library`."""
        self._config = config
        self._library = library

    @property
    def model(self) -> str | None:
        """See `Embedder.model`."""
        return self._config().memory.embedding_model

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> Sequence[Sequence[float]]:
        """See `Embedder.embed`."""
        config = self._config()
        name, _, model = (config.memory.embedding_model or "").partition("/")
        endpoint = endpoint_of(config.provider, Link(name, model))
        asked = await self._library.embedder(endpoint, model)
        secs = _SECS[purpose]
        try:
            async with asyncio.timeout(secs):
                return await asked.embed([_readable(text) for text in texts], purpose)
        except TimeoutError:
            raise ProviderUnavailableError(
                f'provider "{name}" ({model} at {endpoint.host}) gave no vectors within {secs:g} s'
            ) from None


def _readable(text: str) -> str:
    # Nothing at all is refused, and half of a surrogate pair is no text.
    return text[:_MAX_CHARS].encode(errors="replace").decode() or " "
