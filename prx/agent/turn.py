"""One turn: from a user's message to the agent's answer, by way of the model and the tools that it asks for."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Final

from prx.agent.approvals import Approvals
from prx.agent.budgets import Budgets
from prx.agent.compaction import split, summary_of, to_summarize
from prx.agent.conversation import Conversation, text_of, told
from prx.agent.draft import Draft, Inquiry
from prx.agent.feed import Feed
from prx.agent.files import without
from prx.agent.prompt import Prompts
from prx.agent.providers.known import BUILTIN
from prx.agent.recollection import owner
from prx.agent.stages import Stages
from prx.config.schema import Config
from prx.core.errors import ForbiddenError, PrxError
from prx.core.ids import now_utc
from prx.core.message import CalledTool, Failure
from prx.core.provider import (
    ChatAnswer,
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ConversationTooLongError,
    ProviderError,
    ToolRequest,
)
from prx.core.tool import CallContext, ToolResult
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.logging import get_logger

_log = get_logger("agent::turn")

_MAX_TEXT_CHARS: Final = 1 << 20
_MAX_OUTPUT_CHARS: Final = 64 * 1024
"""Of a tool's output, as the model sees it and the transcript keeps it."""

_NO_MORE_CALLS: Final = Failure(
    "limit", "not called: this turn has used its tool calls (agent.max_tool_calls_per_turn); answer now"
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
        turn = Conversation(
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
        turn.summary, turn.past = inquiry.history
        turn.own = [ChatMessage("user", content)]
        turn.prompt = await self._prompts.for_message(content, owner(inquiry.channel, inquiry.user_id))
        most = self._config().agent.context_tokens
        if turn.tokens() > most:
            await self._compact(turn, most // 2)
        await self._answer(turn)

    async def _answer(self, turn: Conversation) -> None:
        draft, left = turn.draft, self._config().agent.max_tool_calls_per_turn
        while True:
            answer = await self._ask(turn, with_tools=left > 0)
            if not answer.tool_calls or left <= 0:
                break
            turn.own.append(ChatMessage("assistant", answer.text, answer.tool_calls, opaque=answer.opaque))
            draft.begin_round(answer, self.approvals.has_to_ask)
            await self._call_all(turn, answer.tool_calls, left)
            left -= len(answer.tool_calls)
            turn.own += map(told, draft.calls)
        text = await turn.stages.outbound(answer.text)
        if turn.stages.guarded and text:
            turn.feed.text(text)
        draft.text, draft.finish = text, answer.finish
        draft.opaque = answer.opaque if text == answer.text else None

    async def _ask(self, turn: Conversation, *, with_tools: bool) -> ChatAnswer:
        """Ask the model for the next message; once more for a shorter conversation where this one is too long."""
        try:
            return await self._answered(turn, await self._request(turn, with_tools=with_tools))
        except ConversationTooLongError:
            if not await self._compact(turn, turn.tokens() // 4):
                raise
            return await self._answered(turn, await self._request(turn, with_tools=with_tools))

    async def _request(self, turn: Conversation, *, with_tools: bool) -> ChatRequest:
        config = self._config().provider
        request = ChatRequest(
            messages=turn.messages(),
            model=config.model,
            system=turn.system(),
            tools=self._points.tools.specs() if with_tools else (),
            temperature=config.temperature,
        )
        try:
            return await turn.stages.request(request)
        except ForbiddenError:
            # As a part of the past, the turn would have every later request of the session blocked as well.
            turn.draft.let_in = False
            raise

    async def _compact(self, turn: Conversation, room: int) -> bool:
        """Leave `room` tokens of past turns as they are, and have the model summarize the older ones.

        Where it does not, they are left out of this turn. Returns whether there were any.
        """
        older, newer = split(turn.past, room)
        if not older:
            return False
        if self._provider.name != BUILTIN:
            before = turn.summary and turn.summary.text
            try:
                request = to_summarize(older, before, self._config().provider.model)
                answer = await self._answered(turn, await turn.stages.request(request), tell=False)
            except (ProviderError, ForbiddenError) as error:
                _log.warning(
                    "a conversation could not be summarized", session_id=turn.session_id, reason=error.message
                )
            else:
                turn.summary = turn.draft.summary = summary_of(answer.text, older) or turn.summary
        turn.past = newer
        return True

    async def _answered(self, turn: Conversation, request: ChatRequest, *, tell: bool = True) -> ChatAnswer:
        """Ask the model, by way of whoever looks at answers, and count what that took."""
        turn.offered = frozenset(tool.name for tool in request.tools)
        self.budgets.check_turn(turn.spent)
        answer = await self._streamed(turn, request, tell=tell)
        turn.draft.add(answer)
        turn.spent = turn.spent.plus(answer.usage, answer.cost_usd)
        self.budgets.note(answer.usage, answer.cost_usd)
        return await turn.stages.response(answer)

    async def _streamed(self, turn: Conversation, request: ChatRequest, *, tell: bool) -> ChatAnswer:
        """Pass on the answer's text as it comes, where it is to be told and nobody has to look at it first."""
        aloud, length = tell and not turn.stages.guarded, 0
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
                    if aloud:
                        said.append(piece)
                        turn.feed.text(piece)
        finally:
            # What was told is kept, whatever follows.
            turn.draft.text = "".join(said)
        raise ProviderError(f'provider "{self._provider.name}" ended without an answer')

    async def _call_all(self, turn: Conversation, asked: Sequence[ToolRequest], left: int) -> None:
        """Have tools called at the same time, as many as may be; what comes of each is in the draft."""
        async with asyncio.TaskGroup() as group:
            for number, request in enumerate(asked):
                group.create_task(self._call(turn, number, request, may_run=number < left))

    async def _call(self, turn: Conversation, number: int, request: ToolRequest, *, may_run: bool) -> None:
        turn.feed.tell("tool_call", request)
        if not may_run:
            called = CalledTool(*request, error=_NO_MORE_CALLS)
        elif request.name not in turn.offered:
            # Perhaps there is such a tool, and middleware left it out.
            called = CalledTool(*request, error=Failure("not_found", f'Tool "{request.name}" is not offered'))
        else:
            called = await self._allowed(turn, number, request)
        turn.draft.end_call(number, called)
        turn.feed.tell("tool_result", called)

    async def _allowed(self, turn: Conversation, number: int, request: ToolRequest) -> CalledTool:
        if self.approvals.has_to_ask(request.name):
            denied = await self.approvals.ask(turn.session_id, request, turn.feed)
            if denied is not None:
                return CalledTool(*request, error=denied)
            turn.draft.begin_call(number)
        return await self._outcome(turn, request)

    async def _outcome(self, turn: Conversation, request: ToolRequest) -> CalledTool:
        try:
            arguments = json.loads(request.arguments or "{}")
        except (ValueError, RecursionError) as error:
            return CalledTool(*request, error=Failure("bad_request", f"The arguments are not JSON: {error}"))
        if not isinstance(arguments, dict):
            return CalledTool(*request, error=Failure("bad_request", "The arguments are not a JSON object"))
        try:
            result = await self._points.tools.call(request.name, arguments, turn.context)
        except PrxError as error:
            # A tool that cannot be called is for the model to know, not the end of the turn.
            return CalledTool(*request, error=Failure(error.code, error.message))
        if result.success:
            for file in result.files:
                turn.draft.files.add(file)
        return _called(request, result)


def _called(request: ToolRequest, result: ToolResult) -> CalledTool:
    if result.error is not None:
        return CalledTool(*request, error=Failure(result.error.code, _cut(result.error.message)))
    output = without(result.output, result.files)
    text = text_of(output)
    return CalledTool(*request, output=output if len(text) <= _MAX_OUTPUT_CHARS else _cut(text))


def _cut(text: str) -> str:
    left_out = len(text) - _MAX_OUTPUT_CHARS
    return text if left_out <= 0 else f"{text[:_MAX_OUTPUT_CHARS]}\n[{left_out} more characters were cut off]"
