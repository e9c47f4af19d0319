"""Vectors from real client libraries, which speak to a server on this machine."""

import base64
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from prx.agent.providers import embeddings
from prx.agent.providers.embeddings import Embeddings
from prx.agent.providers.library import Library
from prx.config.schema import Config
from prx.core.provider import ProviderConfigurationError, ProviderError, ProviderUnavailableError
from tests.integration.providers.asking import KEY
from tests.support.model_server import ModelServer, Reply, drop, hold, json_reply

VECTORS = [[0.5, -0.25], [1.0, 0.0]]


class Embedding:
    """The embedding model of a configuration that a test writes."""

    def __init__(self) -> None:
        self.config = Config()
        self.library = Library()
        self.embeddings = Embeddings(lambda: self.config, self.library)

    def use(self, url: str, kind: str = "house") -> None:
        other = {"type": kind, "base_url": url, "api_key": KEY}
        self.config = Config.model_validate(
            {"memory": {"embedding_model": "it/org/small"}, "provider": {"others": {"it": other}}}
        )


@pytest.fixture
async def embedding() -> AsyncIterator[Embedding]:
    embedding = Embedding()
    yield embedding
    await embedding.library.aclose()


def openai_reply(vectors: list[list[float]], *, as_base64: bool = False) -> Reply:
    def shown(vector: list[float]) -> Any:
        packed = struct.pack(f"<{len(vector)}f", *vector)
        return base64.b64encode(packed).decode() if as_base64 else vector

    data = [
        {"object": "embedding", "index": index, "embedding": shown(vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return json_reply(200, {"object": "list", "data": data, "model": "small", "usage": usage})


@pytest.mark.parametrize("as_base64", [False, True])
@pytest.mark.parametrize("kind", ["house", "openai", "ollama"])
async def test_a_server_that_is_compatible_with_openai_gives_vectors(
    embedding: Embedding, server: ModelServer, kind: str, *, as_base64: bool
) -> None:
    embedding.use(f"{server.url}/v1", kind)
    server.replies.append(openai_reply(VECTORS, as_base64=as_base64))
    assert embedding.embeddings.model == "it/org/small"
    assert await embedding.embeddings.embed(["one", ""], "document") == VECTORS
    [received] = server.received
    assert (received.path, received.headers["Authorization"]) == ("/v1/embeddings", f"Bearer {KEY}")
    assert (received.body["model"], received.body["input"]) == ("org/small", ["one", " "])


async def test_google_gives_vectors_and_is_told_what_for(embedding: Embedding, server: ModelServer) -> None:
    embedding.use(server.url, "google")
    server.replies.append(json_reply(200, {"embeddings": [{"values": vector} for vector in VECTORS]}))
    assert await embedding.embeddings.embed(["one", "two"], "query") == VECTORS
    [received] = server.received
    assert received.path.endswith("models/org/small:batchEmbedContents")
    assert received.headers["x-goog-api-key"] == KEY
    assert {each["taskType"] for each in received.body["requests"]} == {"RETRIEVAL_QUERY"}


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (
            json_reply(401, {"error": {"message": f"{KEY} is no key"}}),
            ProviderConfigurationError,
            "refused the key",
        ),
        (
            json_reply(404, {"error": {"message": "no such model"}}),
            ProviderConfigurationError,
            "no such model",
        ),
        (json_reply(429, {"error": {"message": "slow down"}}), ProviderUnavailableError, "limits the rate"),
        (json_reply(500, {"error": {"message": "oh no"}}), ProviderUnavailableError, "oh no"),
        (json_reply(400, {"error": {"message": "too long"}}), ProviderError, "refused the request"),
        (
            Reply([b"<html>"], 200, {"Content-Type": "application/json"}),
            ProviderUnavailableError,
            "cannot be read",
        ),
        (Reply([b'{"da', drop]), ProviderUnavailableError, "broke the connection"),
        (openai_reply(VECTORS[:1]), ProviderError, "gave 1 vectors for 2 texts"),
        (openai_reply([[1.0], [1.0, 2.0]]), ProviderError, "of different lengths"),
    ],
    ids=["key", "model", "rate", "server", "request", "malformed", "cut", "too few", "uneven"],
)
async def test_a_failure_says_what_it_is(
    embedding: Embedding, server: ModelServer, reply: Reply, kind: type[ProviderError], said: str
) -> None:
    embedding.use(f"{server.url}/v1")
    server.replies.append(reply)
    with pytest.raises(ProviderError, match=said) as caught:
        await embedding.embeddings.embed(["one", "two"], "document")
    assert type(caught.value) is kind
    assert KEY not in caught.value.message


async def test_a_server_that_is_silent_is_not_waited_for(
    embedding: Embedding, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(embeddings._SECS, "query", 0.2)
    embedding.use(f"{server.url}/v1")
    server.replies.append(Reply([hold]))
    with pytest.raises(ProviderUnavailableError, match=r"gave no vectors within 0\.2 s"):
        await embedding.embeddings.embed(["one"], "query")
    await server.left.wait()


async def test_who_has_no_embedding_models_says_so(embedding: Embedding) -> None:
    embedding.use("http://127.0.0.1:9", "anthropic")
    with pytest.raises(ProviderConfigurationError, match="has no embedding models"):
        await embedding.embeddings.embed(["one"], "query")
    embedding.config = Config.model_validate({"memory": {"embedding_model": "nobody/small"}})
    with pytest.raises(ProviderConfigurationError, match='there is no provider "nobody"'):
        await embedding.embeddings.embed(["one"], "query")
