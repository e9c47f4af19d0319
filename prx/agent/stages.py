"""What middleware sees of a turn at each stage, as JSON, and what it may change of it."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

# The standard library's own cannot be validated before Python 3.12.
from typing_extensions import TypedDict

from prx.core.errors import ForbiddenError
from prx.core.middleware import Stage
from prx.core.provider import ChatAnswer, ChatMessage, ChatRequest, ToolRequest
from prx.core.tool import CallContext
from prx.runtime.pipeline import Pipeline

T = TypeVar("T")


class _Text(TypedDict):
    content: str


class _Asked(TypedDict):
    model: str
    system: str
    messages: list[ChatMessage]
    tools: list[str]
    temperature: float | None
    max_tokens: int | None


class _Answered(TypedDict):
    content: str
    tool_calls: list[ToolRequest]


_TEXT: Final = TypeAdapter(_Text)
_ASKED: Final = TypeAdapter(_Asked)
_ANSWERED: Final = TypeAdapter(_Answered)


class Stages:
    """The pipeline for one turn. Where there is no middleware for a stage it costs nothing.

    Every method raises `ForbiddenError` where the message must not go on.
    """

    def __init__(self, pipeline: Pipeline, about: Mapping[str, str], context: CallContext) -> None:
        """Show `about`, which nobody can change, at each stage."""
        self._pipeline = pipeline
        self._about = about
        self._context = context
        self.guarded = bool(pipeline.steps("llm_response") or pipeline.steps("outbound"))
        """Whether somebody wants to see what the model says before anybody hears it."""

    async def inbound(self, content: str) -> str:
        """Let a user's message in."""
        return await self._text("inbound", content)

    async def outbound(self, content: str) -> str:
        """Let an answer out."""
        return await self._text("outbound", content)

    async def request(self, request: ChatRequest) -> ChatRequest:
        """Let a request go to the model; of its tools some may be left out, none added."""
        if not self._pipeline.steps("llm_request"):
            return request
        shown = {
            "model": request.model,
            "system": request.system,
            "messages": [_shown(message) for message in request.messages],
            "tools": [tool.name for tool in request.tools],
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
        }
        asked = await self._run("llm_request", shown, _ASKED)
        if not asked["messages"]:
            raise self._unfit("llm_request", "no message is left to send to the model")
        return replace(
            request,
            messages=asked["messages"],
            model=asked["model"],
            system=asked["system"],
            tools=[tool for tool in request.tools if tool.name in asked["tools"]],
            temperature=asked["temperature"],
            max_tokens=asked["max_tokens"],
        )

    async def response(self, answer: ChatAnswer) -> ChatAnswer:
        """Let the model's answer come in."""
        if not self._pipeline.steps("llm_response"):
            return answer
        shown = {"content": answer.text, "tool_calls": [call._asdict() for call in answer.tool_calls]}
        said = await self._run("llm_response", shown, _ANSWERED)
        text, calls = said["content"], said["tool_calls"]
        changed = text != answer.text or calls != list(answer.tool_calls)
        # What only the provider understands belongs to what it said.
        return replace(answer, text=text, tool_calls=calls, opaque=None if changed else answer.opaque)

    async def _text(self, stage: Stage, content: str) -> str:
        if not self._pipeline.steps(stage):
            return content
        return (await self._run(stage, {"content": content}, _TEXT))["content"]

    async def _run(self, stage: Stage, shown: Mapping[str, Any], shape: TypeAdapter[T]) -> T:
        passed = await self._pipeline.run(stage, {**self._about, **shown}, self._context)
        try:
            return shape.validate_python(passed)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "all of it"
            raise self._unfit(stage, f"{where}: {first['msg']}") from error

    def _unfit(self, stage: Stage, why: str) -> ForbiddenError:
        return ForbiddenError(
            f"the message was blocked at the stage {stage}: middleware gave back what does not fit: {why}",
            details={"stage": stage},
        )


def _shown(message: ChatMessage) -> dict[str, Any]:
    shown = {**asdict(message), "tool_calls": [call._asdict() for call in message.tool_calls]}
    if not message.images:
        del shown["images"]
    return shown
