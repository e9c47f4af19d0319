"""One turn: from a user's message to the agent's answer, by way of the model and the tools that it asks for."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from prx.agent.approvals import Approvals
from prx.agent.budgets import Budgets, Spent
from prx.agent.feed import Feed
from prx.agent.message_table import PastTurn
from prx.agent.prompt import Prompts
from prx.agent.recollection import owner
from prx.agent.stages import Stages
from prx.config.schema import Config
from prx.core.errors import PrxError
from prx.core.ids import new_id, now_utc
from prx.core.message import Answer, CalledTool, Failure, Message, Round
from prx.core.provider import (
    ChatAnswer,
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ProviderError,
    ToolRequest,
)
from prx.core.session import TokenUsage
from prx.core.tool import CallContext, ToolResult
from prx.runtime.extension_points import ExtensionPoints

_MAX_TEXT_CHARS: Final = 1 << 20
_MAX_OUTPUT_CHARS: Final = 64 * 1024
"""Of a tool's output, as the model sees it and the transcript keeps it."""

_NO_MORE_CALLS: Final = Failure(
    "limit", "not called: this turn has used its tool calls (agent.max_tool_calls_per_turn); answer now"
)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a turn is about."""

    message: Message
    channel: str
    user_id: str
    history: Sequence[PastTurn]
    spent: Spent
    """By the session before."""
    request_id: str | None = None


@dataclass(slots=True)
class Draft:
    """What has become of a turn so far, whatever becomes of the rest."""

    content: str | None = None
    """The user's message as middleware changed it; None where it did not."""
    let_in: bool = False
    """Whether the message may be seen by a model."""
    rounds: list[Round] = field(default_factory=list)
    text: str = ""
    usage: TokenUsage = TokenUsage()  # noqa: RUF009  # a value that never changes
    cost_usd: float | None = None
    provider: str = ""
    model: str = ""
    finish: str = "stop"
    opaque: str | None = None

    def add(self, answer: ChatAnswer) -> None:
        """Count one answer of the model."""
        self.usage = TokenUsage(
            self.usage.input + answer.usage.input, self.usage.output + answer.usage.output
        )
        if answer.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + answer.cost_usd
        self.provider, self.model = answer.provider, answer.model

    def answer_to(self, message: Message, failure: Failure | None) -> Answer:
        """Return what has come of the turn as the answer to the user's `message`."""
        return Answer(
            id=new_id("msg"),
            session_id=message.session_id,
            # A model may write half of a surrogate pair, which is no text.
            content=self.text.encode(errors="replace").decode(),
            created_at=now_utc(),
            reply_to=message.id,
            rounds=self.rounds,
            usage=self.usage,
            provider=self.provider,
            model=self.model,
            finish=self.finish,
            error=failure,
            opaque=self.opaque,
            cost_usd=self.cost_usd,
        )


class Turns:
    """Runs turns, any number at a time; each writes what it comes to into its draft, and tells its feed."""

    def __init__(
        self, config: Callable[[], Config], points: ExtensionPoints, prompts: Prompts, provider: ChatProvider
    ) -> None:
        """Use these parts of the daemon; `config` is asked whenever a limit counts."""
        self._config = config
        self._points = points
        self._prompts = prompts
        self._provider = provider
        self.approvals = Approvals(lambda: config().agent, points.bus)
        self.budgets = Budgets(lambda: config().agent.budgets, now_utc)

    async def run(self, inquiry: Inquiry, draft: Draft, feed: Feed) -> None:
        """Come to an answer, which is then in `draft`. Cancelling this ends the model's and the tools' calls.

        Raises:
            ForbiddenError: middleware blocked the message or the answer.
            BudgetError: what may be used is used up.
            ProviderError: the model gave no answer.
        """
        message = inquiry.message
        context = CallContext(request_id=inquiry.request_id, session_id=message.session_id)
        about = {
            "session_id": message.session_id,
            "message_id": message.id,
            "channel": inquiry.channel,
            "user_id": inquiry.user_id,
        }
        turn = _Turn(
            message.session_id,
            inquiry.spent,
            draft,
            feed,
            Stages(self._points.middleware, about, context),
            context,
        )
        content = await turn.stages.inbound(message.content)
        draft.let_in = True
        draft.content = content if content != message.content else None
        turn.messages = [*_past(inquiry.history), ChatMessage("user", content)]
        turn.system = await self._prompts.for_message(content, owner(inquiry.channel, inquiry.user_id))
        await self._answer(turn)

    async def _answer(self, turn: "_Turn") -> None:
        draft, left = turn.draft, self._config().agent.max_tool_calls_per_turn
        while True:
            answer = await self._ask(turn, with_tools=left > 0)
            if not answer.tool_calls or left <= 0:
                break
            turn.messages.append(
                ChatMessage("assistant", answer.text, answer.tool_calls, opaque=answer.opaque)
            )
            calls = await self._call_all(turn, answer.tool_calls, left)
            left -= len(calls)
            draft.rounds.append(Round(answer.text, calls, answer.opaque))
            draft.text = ""
            turn.messages += map(_told, calls)
        text = await turn.stages.outbound(answer.text)
        if turn.stages.guarded and text:
            turn.feed.text(text)
        draft.text, draft.finish = text, answer.finish
        draft.opaque = answer.opaque if text == answer.text else None

    async def _ask(self, turn: "_Turn", *, with_tools: bool) -> ChatAnswer:
        config = self._config().provider
        request = await turn.stages.request(
            ChatRequest(
                messages=tuple(turn.messages),
                model=config.model,
                system=turn.system,
                tools=self._points.tools.specs() if with_tools else (),
                temperature=config.temperature,
            )
        )
        self.budgets.check_turn(turn.spent)
        answer = await self._streamed(turn, request)
        turn.draft.add(answer)
        turn.spent = turn.spent.plus(answer.usage, answer.cost_usd)
        self.budgets.note(answer.usage, answer.cost_usd)
        return await turn.stages.response(answer)

    async def _streamed(self, turn: "_Turn", request: ChatRequest) -> ChatAnswer:
        """Pass on the answer's text as it comes, unless somebody has to look at it first."""
        guarded, length = turn.stages.guarded, 0
        said: list[str] = []
        try:
            async with aclosing(self._provider.chat(request, turn.context)) as answering:
                async for piece in answering:
                    if not isinstance(piece, str):
                        return piece
                    length += len(piece)
                    if length > _MAX_TEXT_CHARS:
                        raise ProviderError(
                            f"the answer has more than {_MAX_TEXT_CHARS} characters: it was cut off"
                        )
                    if not guarded:
                        said.append(piece)
                        turn.feed.text(piece)
        finally:
            # What was told is kept, whatever follows.
            turn.draft.text = "".join(said)
        raise ProviderError(f'provider "{self._provider.name}" ended without an answer')

    async def _call_all(self, turn: "_Turn", asked: Sequence[ToolRequest], left: int) -> list[CalledTool]:
        """Have tools called at the same time, as many as may be; return what came of each, in their order."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._call(turn, request, may_run=number < left))
                for number, request in enumerate(asked)
            ]
        return [task.result() for task in tasks]

    async def _call(self, turn: "_Turn", request: ToolRequest, *, may_run: bool) -> CalledTool:
        turn.feed.tell("tool_call", request)
        if may_run:
            called = await self._allowed(turn, request)
        else:
            called = CalledTool(*request, error=_NO_MORE_CALLS)
        turn.feed.tell("tool_result", called)
        return called

    async def _allowed(self, turn: "_Turn", request: ToolRequest) -> CalledTool:
        denied = await self.approvals.ask(turn.session_id, request, turn.feed)
        if denied is not None:
            return CalledTool(*request, error=denied)
        return await self._outcome(request, turn.context)

    async def _outcome(self, request: ToolRequest, context: CallContext) -> CalledTool:
        try:
            arguments = json.loads(request.arguments or "{}")
        except (ValueError, RecursionError) as error:
            return CalledTool(*request, error=Failure("bad_request", f"The arguments are not JSON: {error}"))
        if not isinstance(arguments, dict):
            return CalledTool(*request, error=Failure("bad_request", "The arguments are not a JSON object"))
        try:
            result = await self._points.tools.call(request.name, arguments, context)
        except PrxError as error:
            # A tool that cannot be called is for the model to know, not the end of the turn.
            return CalledTool(*request, error=Failure(error.code, error.message))
        return _called(request, result)


@dataclass(slots=True)
class _Turn:
    """What is at hand during one turn."""

    session_id: str
    spent: Spent
    draft: Draft
    feed: Feed
    stages: Stages
    context: CallContext
    messages: list[ChatMessage] = field(default_factory=list)
    system: str = ""


def _past(history: Sequence[PastTurn]) -> Iterator[ChatMessage]:
    """Give what was said before, as the model saw it then."""
    for turn in history:
        yield ChatMessage("user", turn.content)
        for text, calls, opaque in turn.rounds:
            asked = [ToolRequest(call.id, call.name, call.arguments) for call in calls]
            yield ChatMessage("assistant", text, asked, opaque=opaque)
            yield from map(_told, calls)
        if turn.answer:
            yield ChatMessage("assistant", turn.answer, opaque=turn.opaque)


def _told(called: CalledTool) -> ChatMessage:
    """Return what the model is told of a call."""
    text = called.error.message if called.error is not None else _text(called.output)
    return ChatMessage("tool", text, tool_call_id=called.id, failed=called.error is not None)


def _called(request: ToolRequest, result: ToolResult) -> CalledTool:
    if result.error is not None:
        return CalledTool(*request, error=Failure(result.error.code, _cut(result.error.message)))
    text = _text(result.output)
    return CalledTool(*request, output=result.output if len(text) <= _MAX_OUTPUT_CHARS else _cut(text))


def _text(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def _cut(text: str) -> str:
    left_out = len(text) - _MAX_OUTPUT_CHARS
    return text if left_out <= 0 else f"{text[:_MAX_OUTPUT_CHARS]}\n[{left_out} more characters were cut off]"
