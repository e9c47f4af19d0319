"""Providers of a configuration that a test writes, asked through the real client libraries."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from prx.agent.providers.chain import Providers
from prx.agent.providers.retries import Retries
from prx.config.schema import ProviderConfig
from prx.core.provider import ChatAnswer, ChatMessage, ChatProvider, ChatRequest
from prx.core.tool import CallContext, ToolSpec
from prx.runtime.registry import Registry
from tests.support.model_dialects import Dialect
from tests.support.model_server import ModelServer

KEY = "sk-a-key-that-nobody-may-see"
HELLO = [ChatMessage("user", "Hello")]
TOOLS = [
    ToolSpec(
        "weather",
        "Tells the weather.",
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "plugin:weather",
    )
]


class Asking:
    """Providers, and what they were made to wait."""

    def __init__(self) -> None:
        self.config = ProviderConfig()
        self.pauses: list[float] = []
        self.offered = Registry[ChatProvider]("provider")
        self.providers = Providers(lambda: self.config, self.offered, Retries(self._sleep, lambda: 1.0))

    def configure(self, **keys: Any) -> None:
        self.config = ProviderConfig.model_validate({"model": "m", **keys})

    def use(self, dialect: Dialect, server: ModelServer, **keys: Any) -> None:
        """Configure a provider that speaks `dialect` at `server`."""
        own = table(dialect, server)
        self.configure(name="it", others={"it": own}, **keys)

    async def ask(
        self, messages: Sequence[ChatMessage] = HELLO, pieces: list[str] | None = None, **keys: Any
    ) -> tuple[list[str], ChatAnswer]:
        """Return the pieces and the answer; the pieces are in `pieces`, too, whatever follows them."""
        pieces = [] if pieces is None else pieces
        request = ChatRequest(messages, self.config.model, **keys)
        async with aclosing(self.providers.chat(request, CallContext())) as answer:
            async for piece in answer:
                if isinstance(piece, ChatAnswer):
                    return pieces, piece
                pieces.append(piece)
        raise AssertionError("the generator ended without an answer")

    async def _sleep(self, secs: float) -> None:
        self.pauses.append(secs)
        await asyncio.sleep(0)


def table(dialect: Dialect, server: ModelServer) -> dict[str, Any]:
    return {"type": dialect.kind, "base_url": server.url + dialect.prefix, "api_key": KEY}
