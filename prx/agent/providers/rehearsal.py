"""A request that goes nowhere, made in a thread before the first real one, and answered there. Imports the library.

The vendors' libraries make much of what they need at their first request: a third of a second for which the event
loop would stand still.
"""

import asyncio
import json
import math
from contextlib import suppress
from typing import Any, Final

import httpx2

from prx.agent.providers.clients import HttpClient
from prx.agent.providers.endpoints import Endpoint
from prx.agent.providers.limits import Limits
from prx.agent.providers.stream import Asked
from prx.core.provider import ChatMessage, ChatRequest, ProviderError, ToolRequest
from prx.core.tool import ToolSpec

_LIMITS: Final = Limits(first_token_secs=60, next_token_secs=60, answer_secs=60, begins_by=math.inf)
_TOOL: Final = ToolSpec(
    "tool", "Does nothing.", {"type": "object", "properties": {"a": {"type": "string"}}}, "builtin"
)
_MESSAGES: Final = (
    ChatMessage("user", "Hello"),
    ChatMessage("assistant", "", [ToolRequest("call", "tool", "{}")]),
    ChatMessage("tool", "done", tool_call_id="call"),
)
_ANSWER: Final[Any] = {
    # Each library sees the part that is for it; none sees an end.
    "type": "response.created",
    "response": {
        "id": "r",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    "choices": [{"index": 0, "delta": {"content": "Hi"}}],
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}}],
}


def rehearse(endpoint: Endpoint, model: str) -> None:
    """Ask `model` something, and have the request answered before it leaves. Blocks."""
    asyncio.run(_rehearse(endpoint, model))


async def _rehearse(endpoint: Endpoint, model: str) -> None:
    client = HttpClient(httpx2.MockTransport(_answer))
    request = ChatRequest(_MESSAGES, model, "system", [_TOOL], temperature=1.0, max_tokens=1)
    try:
        with suppress(ProviderError):
            async for _ in Asked.at(endpoint, model, client).chat(request, _LIMITS):
                pass
    finally:
        await client.aclose()


def _answer(_request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(
        200, headers={"Content-Type": "text/event-stream"}, content=f"data: {json.dumps(_ANSWER)}\n\n"
    )
