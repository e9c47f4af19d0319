"""Answers of a language model to others than the agent's users: to MCP servers, which ask for them."""

from typing import Protocol

from prx.core.provider import ChatAnswer, ChatRequest


class Sampler(Protocol):
    """Has the configured model answer."""

    async def sample(self, source: str, request: ChatRequest, tokens_per_day: int) -> ChatAnswer:
        """Return the model's answer, and count what it took. Cancelling this ends the request to the model.

        Args:
            source: who asks, as `mcp:<server>`; what it uses is counted under this name, too.
            request: what it asks. An empty `model` is the configured one; `max_tokens` is set, and may be cut down to
                what is left.
            tokens_per_day: what the source may use in a day of UTC.

        Raises:
            ProviderError: the model gave no answer.
            PrxError: there must be none: a budget is used up, too much is asked at once, or middleware blocks it.
        """
