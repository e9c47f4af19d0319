"""The client library's models, made for one address each over one HTTP client. Imports the vendors' libraries.

What is made here opens nothing before it is used, and holds nothing that has to be closed besides the HTTP client.
"""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import httpx2
from pydantic_ai.embeddings import EmbeddingModel
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider_class

from prx.agent.providers.endpoints import Endpoint
from prx.agent.providers.failures import NotReadError
from prx.core.provider import ProviderConfigurationError
from prx.runtime.logging import quieten

if TYPE_CHECKING:
    from google.genai import Client
    from openai import AsyncOpenAI

_CONNECT_SECS: Final = 10.0
_SEND_SECS: Final = 60.0
_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_LIMITS: Final = httpx2.Limits(max_connections=256, max_keepalive_connections=16, keepalive_expiry=60.0)
_NO_KEY: Final = "none"
"""What a server is sent that needs no key: the client library insists on one."""
_TALKATIVE: Final = ("anthropic", "google_genai", "httpcore2", "httpx2", "openai")

# They log each request, and whole conversations at the level debug: these are for the transcript alone.
quieten(*_TALKATIVE)

_opened: ContextVar[list[httpx2.Response] | None] = ContextVar("opened", default=None)


@contextmanager
def noting_responses(opened: list[httpx2.Response]) -> Iterator[None]:
    """Add the responses to `opened` that begin within the block, for whoever has to be sure that they end.

    google-genai leaves it to the garbage collector to end one that is not read to its end.
    """
    token = _opened.set(opened)
    try:
        yield
    finally:
        _opened.reset(token)


class HttpClient:
    """One HTTP client with one TLS context, for all providers."""

    def __init__(self, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        """Read the certificates of the system, which takes a while; `transport` sends elsewhere. Blocks."""
        self.tls = ssl.create_default_context()
        self.http = httpx2.AsyncClient(
            verify=self.tls,
            transport=transport,
            timeout=_timeouts(),
            limits=_LIMITS,
            # Pieces come as they are sent, and their size is what was sent.
            headers={"Accept-Encoding": "identity"},
            event_hooks={"request": [_with_our_timeouts], "response": [_taken_in_hand]},
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self.http.aclose()


def make_model(endpoint: Endpoint, model: str, client: HttpClient) -> Model[Any]:
    """Return the library's `model` at `endpoint`. Blocks: the first time it imports the vendor's library.

    Raises:
        ImportError: it is not installed.
    """
    match endpoint.protocol:
        case "anthropic":
            return _anthropic(endpoint, model, client)
        case "google":
            return _google(endpoint, model, client)
        case "responses" | "chat":
            return _openai(endpoint, model, client)


def make_embedding_model(endpoint: Endpoint, model: str, client: HttpClient) -> EmbeddingModel:
    """Return the library's embedding `model` at `endpoint`. Blocks as `make_model`.

    Raises:
        ImportError: it is not installed.
        ProviderConfigurationError: this provider has none.
    """
    match endpoint.protocol:
        case "anthropic":
            raise ProviderConfigurationError(
                f'provider "{endpoint.name}" has no embedding models: set memory.embedding_model to another\'s'
            )
        case "google":
            from pydantic_ai.embeddings.google import GoogleEmbeddingModel  # noqa: PLC0415  # an extra
            from pydantic_ai.providers.google import GoogleProvider  # noqa: PLC0415

            return GoogleEmbeddingModel(
                model, provider=GoogleProvider(client=_google_vendor(endpoint, client))
            )
        case "responses" | "chat":
            from pydantic_ai.embeddings.openai import OpenAIEmbeddingModel  # noqa: PLC0415  # an extra
            from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

            vendor = _openai_vendor(endpoint, client)
            return OpenAIEmbeddingModel(
                model, provider=OpenAICompatibleProvider(endpoint.name, openai_client=vendor)
            )


def _anthropic(endpoint: Endpoint, model: str, client: HttpClient) -> Model[Any]:
    from anthropic import AsyncAnthropic  # noqa: PLC0415  # an extra
    from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415
    from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415

    vendor = AsyncAnthropic(
        api_key=endpoint.key or _NO_KEY, base_url=endpoint.url, http_client=client.http, max_retries=0
    )
    return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=vendor))


def _google(endpoint: Endpoint, model: str, client: HttpClient) -> Model[Any]:
    from pydantic_ai.models.google import GoogleModel  # noqa: PLC0415  # an extra
    from pydantic_ai.providers.google import GoogleProvider  # noqa: PLC0415

    return GoogleModel(model, provider=GoogleProvider(client=_google_vendor(endpoint, client)))


def _google_vendor(endpoint: Endpoint, client: HttpClient) -> "Client":
    from google.genai import Client  # noqa: PLC0415  # an extra
    from google.genai.types import HttpOptions  # noqa: PLC0415

    options = HttpOptions(
        base_url=endpoint.url,
        httpx_async_client=client.http,
        # It makes a blocking client as well, which nobody uses: at least not with a TLS context of its own.
        client_args={"verify": client.tls},
    )
    return Client(vertexai=False, api_key=endpoint.key or _NO_KEY, http_options=options)


def _openai(endpoint: Endpoint, model: str, client: HttpClient) -> Model[Any]:
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415  # an extra
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider  # noqa: PLC0415

    vendor = _openai_vendor(endpoint, client)
    if endpoint.known_as is None:
        return OpenAIChatModel(model, provider=OpenAICompatibleProvider(endpoint.name, openai_client=vendor))

    def provider(name: str) -> Provider[Any]:
        made: Any = infer_provider_class(name)
        return made(openai_client=vendor)  # type: ignore[no-any-return]

    return infer_model(f"{endpoint.known_as}:{model}", provider)


def _openai_vendor(endpoint: Endpoint, client: HttpClient) -> "AsyncOpenAI":
    from openai import AsyncOpenAI  # noqa: PLC0415  # an extra

    return AsyncOpenAI(
        api_key=endpoint.key or _NO_KEY, base_url=endpoint.url, http_client=client.http, max_retries=0
    )


def _timeouts() -> httpx2.Timeout:
    # How long an answer may take is for who waits for it to say: see `stream.py`.
    return httpx2.Timeout(None, connect=_CONNECT_SECS, write=_SEND_SECS, pool=_CONNECT_SECS)


async def _with_our_timeouts(request: httpx2.Request) -> None:
    """Undo the timeouts that the vendors' libraries set, each its own."""
    request.extensions = {**request.extensions, "timeout": _timeouts().as_dict()}


async def _taken_in_hand(response: httpx2.Response) -> None:
    """Note a response for whoever ends it, and bound what is read of it.

    Raises:
        NotReadError: it leads elsewhere, where the key is not meant for, or it is compressed although nobody asked for
            that, and its size is anything.
    """
    if response.has_redirect_location:
        raise NotReadError("it redirects to another address: set base_url to where its API is")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise NotReadError("the answer is compressed, which it was not asked to be")
    if (opened := _opened.get()) is not None:
        opened.append(response)
    assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101  # for the type checker
    response.stream = _BoundedStream(response.stream)


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = _MAX_ANSWER_BYTES
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise NotReadError(f"the answer has more than {_MAX_ANSWER_BYTES >> 20} MiB: it was cut off")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
