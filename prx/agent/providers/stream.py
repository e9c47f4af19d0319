"""One request to one model through the client library. Imports the library."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from httpx2 import Response
from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import (
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)
from pydantic_ai.models import Model, StreamedResponse

from prx.agent.providers.clients import HttpClient, make_model, noting_responses
from prx.agent.providers.endpoints import Endpoint
from prx.agent.providers.failures import FOREIGN, Failures
from prx.agent.providers.limits import Limits
from prx.agent.providers.messages import to_answer, to_messages, to_parameters, to_settings
from prx.core.provider import ChatAnswer, ChatRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """A model at an address."""

    endpoint: Endpoint
    model: Model[Any]

    @classmethod
    def at(cls, endpoint: Endpoint, model: str, client: HttpClient) -> Self:
        """Return `model` at `endpoint`. Blocks: the first time it imports the vendor's library.

        Raises:
            ImportError: it is not installed.
            ProviderError: it takes no such address.
        """
        try:
            return cls(endpoint, make_model(endpoint, model, client))
        except FOREIGN as error:
            raise Failures(endpoint, model).of(error) from error

    async def chat(self, request: ChatRequest, limits: Limits) -> AsyncGenerator[str | ChatAnswer, None]:
        """Ask once; see `ChatProvider.chat`. Whoever closes the generator closes the connection."""
        wait = _Wait(Failures(self.endpoint, request.model), limits)
        async with AsyncExitStack() as held:
            stream = await wait.until(self._begin(request, held))
            events = aiter(stream)
            while (event := await wait.until(anext(events, None))) is not None:
                wait.began()
                if piece := _text_in(event):
                    yield piece
            response = stream.get()
            if _is_cut(response):
                raise wait.failures.cut()
            yield to_answer(response, self.endpoint.name)

    async def _begin(self, request: ChatRequest, held: AsyncExitStack) -> StreamedResponse:
        """Send the request; `held` ends it."""
        responses: list[Response] = []
        held.push_async_callback(_close, responses)
        with noting_responses(responses):
            return await held.enter_async_context(
                model_request_stream(
                    self.model,
                    to_messages(request.messages),
                    model_settings=to_settings(request, self.model.unsupported_settings),
                    model_request_parameters=to_parameters(request),
                    instrument=False,
                )
            )


class _Wait:
    """Waits for a model within its limits, and tells of every failure in our words."""

    def __init__(self, failures: Failures, limits: Limits) -> None:
        self.failures = failures
        self._limits = limits
        self._clock = asyncio.get_running_loop().time
        self._whole = self._clock() + limits.answer_secs
        self._has_begun = False

    def began(self) -> None:
        """Note that something of the answer is there."""
        self._has_begun = True

    async def until(self, coming: Awaitable[T]) -> T:
        by = self._clock() + self._limits.next_token_secs if self._has_begun else self._limits.begins_by
        try:
            async with asyncio.timeout_at(min(by, self._whole)):
                return await coming
        except TimeoutError:
            raise self._too_late() from None
        except FOREIGN as error:
            raise self.failures.of(error) from error

    def _too_late(self) -> Exception:
        if self._clock() >= self._whole:
            return self.failures.endless(self._limits.answer_secs)
        if self._has_begun:
            return self.failures.paused(self._limits.next_token_secs)
        return self.failures.no_answer_within(self._limits.first_token_secs)


async def _close(responses: list[Response]) -> None:
    for response in responses:
        await response.aclose()


def _text_in(event: ModelResponseStreamEvent) -> str:
    match event:
        case PartStartEvent(part=TextPart(content=text)):
            return text
        case PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return text
    return ""


def _is_cut(response: ModelResponse) -> bool:
    """Tell whether a response ended without saying why, as one does whose connection was closed in the middle.

    The library takes that for an end where OpenAI's Chat Completions are spoken; what the provider itself said is in
    the details.
    """
    details = response.provider_details or {}
    return response.state != "complete" or response.finish_reason is None or "finish_reason" not in details
