"""A server's questions to a language model (`sampling/createMessage`) in the daemon's own terms, and the answers."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

from prx.config.integrations import SamplingConfig
from prx.core.errors import PrxError
from prx.core.provider import ChatAnswer, ChatMessage, ChatRequest, FinishReason, Image, ProviderError
from prx.core.sampling import Sampler
from prx.core.upstream import UpstreamError

_INVALID: Final = -32602
_FAILED: Final = -32603
_DENIED: Final = -1
"""The code of a question that is refused, as MCP has it."""
_MAX_MESSAGES: Final = 256
_MAX_STOPS: Final = 16
_REASONS: Final[Mapping[FinishReason, str]] = {"stop": "endTurn", "length": "maxTokens", "refused": "refusal"}


class Sampling:
    """Answers the questions of one server."""

    def __init__(self, server: str, config: SamplingConfig, sampler: Sampler) -> None:
        """Have `sampler` answer, within what `config` lets the server use."""
        self._source = f"mcp:{server}"
        self._config = config
        self._sampler = sampler

    async def __call__(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a `CreateMessageResult`.

        Raises:
            UpstreamError: the question is none, may not be asked, or the model gave no answer.
        """
        request = self._request(params)
        try:
            answer = await self._sampler.sample(self._source, request, self._config.tokens_per_day)
        except ProviderError as error:
            # How the provider is configured, and why it fails, is nothing that a server need know.
            raise UpstreamError("the model gave no answer: the daemon's log says why", _FAILED) from error
        except PrxError as error:
            raise UpstreamError(f"the model is not asked: {error.message}", _DENIED) from error
        return _result(answer, request)

    def _request(self, params: Mapping[str, Any]) -> ChatRequest:
        if params.get("tools") or params.get("toolChoice"):
            _refuse("the model is asked without tools")
        messages, most = params.get("messages"), params.get("maxTokens")
        if not isinstance(messages, list) or not 0 < len(messages) <= _MAX_MESSAGES:
            _refuse(f"messages has to be a list of 1 to {_MAX_MESSAGES}")
        if type(most) is not int or most < 1:
            _refuse("maxTokens has to be a number of 1 or more")
        return ChatRequest(
            messages=_conversation(messages),
            model=self._model(params.get("modelPreferences")),
            system=_optional(params, "systemPrompt", str) or "",
            temperature=_optional(params, "temperature", int | float),
            max_tokens=min(most, self._config.max_tokens),
            stop=_stops(params.get("stopSequences")),
        )

    def _model(self, preferences: Any) -> str:
        """Return the first model that is hinted at and may be chosen; empty where there is none."""
        hints = preferences.get("hints") if isinstance(preferences, Mapping) else None
        for hint in hints if isinstance(hints, list) else ():
            name = hint.get("name") if isinstance(hint, Mapping) else None
            for model in self._config.models:
                if isinstance(name, str) and name and name.lower() in model.lower():
                    return model
        return ""


def _conversation(messages: Sequence[Any]) -> list[ChatMessage]:
    """Return messages in turn: what one side says in several is one."""
    found: list[ChatMessage] = []
    for message in map(_message, messages):
        if found and found[-1].role == message.role:
            last = found.pop()
            text = "\n\n".join(filter(None, (last.content, message.content)))
            message = ChatMessage(message.role, text, images=[*last.images, *message.images])  # noqa: PLW2901
        found.append(message)
    if found[0].role != "user" or found[-1].role != "user":
        _refuse("the first message and the last one have to be the user's")
    return found


def _message(message: Any) -> ChatMessage:
    role = message.get("role") if isinstance(message, Mapping) else None
    if role not in ("user", "assistant"):
        _refuse('the role of a message has to be "user" or "assistant"')
    content = message.get("content")
    blocks = list(_blocks(content if isinstance(content, list) else [content]))
    images = [block for block in blocks if isinstance(block, Image)]
    if images and role == "assistant":
        _refuse("images have to be in messages of the user")
    return ChatMessage(role, "\n\n".join(block for block in blocks if isinstance(block, str)), images=images)


def _blocks(content: Sequence[Any]) -> Iterator[str | Image]:
    for block in content:
        match block:
            case {"type": "text", "text": str(text)}:
                yield text
            case {"type": "image", "data": str(data), "mimeType": str(media)} if media.startswith("image/"):
                try:
                    base64.b64decode(data, validate=True)
                except (binascii.Error, ValueError):
                    _refuse("the data of an image has to be base64")
                yield Image(media, data)
            case {"type": str(kind)} if kind not in ("text", "image"):
                _refuse(f"the model takes text and images, and no {kind[:32]}")
            case _:
                _refuse("content has to be text, an image or a list of these")


def _stops(value: Any) -> list[str]:
    stops = [] if value is None else value
    if (
        not isinstance(stops, list)
        or len(stops) > _MAX_STOPS
        or not all(isinstance(each, str) for each in stops)
    ):
        _refuse(f"stopSequences has to be a list of at most {_MAX_STOPS} texts")
    return [each for each in stops if each]


def _optional(params: Mapping[str, Any], key: str, kind: Any) -> Any:
    value = params.get(key)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        _refuse(f"{key} has to be {'a text' if kind is str else 'a number'}")
    return value


def _refuse(reason: str) -> NoReturn:
    raise UpstreamError(reason, _INVALID)


def _result(answer: ChatAnswer, request: ChatRequest) -> dict[str, Any]:
    # Not every provider stops by itself.
    ends = [end for stop in request.stop if (end := answer.text.find(stop)) >= 0]
    text = answer.text[: min(ends)] if ends else answer.text
    return {
        "role": "assistant",
        "content": {"type": "text", "text": text},
        "model": answer.model or request.model or "unknown",
        "stopReason": "stopSequence" if ends else _REASONS.get(answer.finish, answer.finish),
    }
