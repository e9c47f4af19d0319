"""One request for vectors through the client library. Imports the library."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pydantic_ai.embeddings import EmbeddingModel

from prx.agent.providers.clients import HttpClient, make_embedding_model
from prx.agent.providers.endpoints import Endpoint
from prx.agent.providers.failures import FOREIGN, Failures
from prx.core.embedding import Purpose
from prx.core.provider import ProviderError


@dataclass(frozen=True, slots=True)
class AskedForVectors:
    """An embedding model at an address."""

    model: EmbeddingModel
    failures: Failures

    @classmethod
    def at(cls, endpoint: Endpoint, model: str, client: HttpClient) -> Self:
        """Return `model` at `endpoint`. Blocks: the first time it imports the vendor's library.

        Raises:
            ImportError: it is not installed.
            ProviderError: its provider has none, or takes no such address.
        """
        failures = Failures(endpoint, model)
        try:
            return cls(make_embedding_model(endpoint, model, client), failures)
        except FOREIGN as error:
            raise failures.of(error) from error

    async def embed(self, texts: Sequence[str], purpose: Purpose) -> Sequence[Sequence[float]]:
        """See `Embedder.embed`; it takes as long as the provider does."""
        try:
            result = await self.model.embed(texts, input_type=purpose)
        except FOREIGN as error:
            raise self.failures.of(error) from error
        vectors = result.embeddings
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) != 1 or not vectors[0]:
            raise ProviderError(
                f"{self.failures.who} gave {len(vectors)} vectors for {len(texts)} texts, or of different lengths"
            )
        return vectors
