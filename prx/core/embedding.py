"""Texts as vectors: texts that mean the like lie near each other, whatever their words."""

from collections.abc import Sequence
from typing import Literal, Protocol

Purpose = Literal["query", "document"]
"""Some models place what is looked for elsewhere than what is to be found."""


class Embedder(Protocol):
    """A model that makes vectors, whichever one the configuration names at the moment."""

    @property
    def model(self) -> str | None:
        """Which one it is; None where none is configured. Vectors of different models have nothing in common."""

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> Sequence[Sequence[float]]:
        """Return a vector for each of `texts`, all of the same length.

        Raises:
            ProviderError: there are none; what kind of failure it is says whether to ask again.
        """
