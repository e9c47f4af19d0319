"""The client library, loaded when the first provider needs it, in a thread; and what of it is kept between requests."""

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from prx.agent.providers.endpoints import Endpoint, check_installed
from prx.agent.providers.known import Protocol
from prx.core.provider import ProviderConfigurationError
from prx.runtime.logging import get_logger
from prx.runtime.tasks import Tasks

if TYPE_CHECKING:
    from prx.agent.providers.clients import HttpClient
    from prx.agent.providers.embedder import AskedForVectors
    from prx.agent.providers.stream import Asked

_MAX_MODELS: Final = 32

_log = get_logger("agent::providers")


class Library:
    """Models that can be asked, and the one HTTP client of all."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._client: HttpClient | None = None
        self._models: OrderedDict[tuple[Endpoint, str], Asked] = OrderedDict()
        self._embedder: tuple[Endpoint, str, AskedForVectors] | None = None
        self._rehearsed: set[Protocol] = set()
        self._making = asyncio.Lock()
        self._tasks = Tasks(_log, lambda: None)

    async def model(self, endpoint: Endpoint, name: str) -> "Asked":
        """Return a model at an address.

        Raises:
            ProviderError: its client library is not installed or cannot be loaded, or it takes no such address.
        """
        if (made := self._models.get((endpoint, name))) is not None:
            self._models.move_to_end((endpoint, name))
            return made
        # Whoever gave up waiting may ask again: what was loaded meanwhile is there then.
        return await self._tasks.whole(self._made(endpoint, name))

    async def embedder(self, endpoint: Endpoint, name: str) -> "AskedForVectors":
        """Return an embedding model at an address; the last one is kept. Raises as `model`."""
        if self._embedder is not None and self._embedder[:2] == (endpoint, name):
            return self._embedder[2]
        return await self._tasks.whole(self._made_embedder(endpoint, name))

    def forget(self) -> None:
        """Keep no model, and none of their keys, any longer; those that are at work go on."""
        self._models.clear()
        self._embedder = None

    async def aclose(self) -> None:
        """Close every connection."""
        await self._tasks.aclose()
        if self._client is not None:
            await self._client.aclose()

    async def _made_embedder(self, endpoint: Endpoint, name: str) -> "AskedForVectors":
        async with self._making:
            self._client, asked = await asyncio.to_thread(_load_embedder, endpoint, name, self._client)
            self._embedder = (endpoint, name, asked)
            return asked

    async def _made(self, endpoint: Endpoint, name: str) -> "Asked":
        async with self._making:
            first = endpoint.protocol not in self._rehearsed
            self._client, asked = await asyncio.to_thread(_load, endpoint, name, self._client, first=first)
            self._rehearsed.add(endpoint.protocol)
            self._models[endpoint, name] = asked
            if len(self._models) > _MAX_MODELS:
                self._models.popitem(last=False)
            return asked


def _load(
    endpoint: Endpoint, name: str, client: "HttpClient | None", *, first: bool
) -> "tuple[HttpClient, Asked]":
    check_installed(endpoint)
    try:
        from prx.agent.providers.clients import HttpClient  # noqa: PLC0415  # takes a second
        from prx.agent.providers.rehearsal import rehearse  # noqa: PLC0415
        from prx.agent.providers.stream import Asked  # noqa: PLC0415

        if first:
            rehearse(endpoint, name)
        client = client or HttpClient()
        return client, Asked.at(endpoint, name, client)
    except ImportError as error:
        raise _cannot_be_loaded(endpoint, error) from error


def _load_embedder(
    endpoint: Endpoint, name: str, client: "HttpClient | None"
) -> "tuple[HttpClient, AskedForVectors]":
    check_installed(endpoint)
    try:
        from prx.agent.providers.clients import HttpClient  # noqa: PLC0415  # as above
        from prx.agent.providers.embedder import AskedForVectors  # noqa: PLC0415

        client = client or HttpClient()
        return client, AskedForVectors.at(endpoint, name, client)
    except ImportError as error:
        raise _cannot_be_loaded(endpoint, error) from error


def _cannot_be_loaded(endpoint: Endpoint, error: ImportError) -> ProviderConfigurationError:
    return ProviderConfigurationError(
        f'the client library of provider "{endpoint.name}" is installed, but cannot be loaded: {error}; '
        "install it anew"
    )
