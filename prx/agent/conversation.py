"""The conversation of one turn, as the model sees it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prx.agent.budgets import Spent
from prx.agent.compaction import tokens_in, tokens_of
from prx.agent.draft import Draft
from prx.agent.feed import Feed
from prx.agent.message_table import PastTurn, Summary
from prx.agent.stages import Stages
from prx.core.message import CalledTool
from prx.core.provider import ChatMessage, ToolRequest
from prx.core.tool import CallContext


@dataclass(slots=True)
class Conversation:
    """What is at hand during one turn."""

    session_id: str
    spent: Spent
    draft: Draft
    feed: Feed
    stages: Stages
    context: CallContext
    prompt: str = ""
    summary: Summary | None = None
    past: Sequence[PastTurn] = ()
    own: list[ChatMessage] = field(default_factory=list)
    """What was said in this turn."""
    offered: frozenset[str] = frozenset()
    """The tools that the model was last told of."""

    def messages(self) -> Sequence[ChatMessage]:
        """Return the conversation as the model is to see it."""
        return (*_past(self.past), *self.own)

    def system(self) -> str:
        """Return what the model is told before it."""
        if self.summary is None:
            return self.prompt
        told = f"# What this conversation was about so far\n\n{self.summary.text}"
        return f"{self.prompt}\n\n{told}" if self.prompt else told

    def tokens(self) -> int:
        """Return about how many tokens the conversation is to the model."""
        return tokens_of(self.past) + tokens_in(self.system(), *(each.content for each in self.own))


def _past(history: Sequence[PastTurn]) -> Iterator[ChatMessage]:
    """Give what was said before, as the model saw it then."""
    for turn in history:
        yield ChatMessage("user", turn.content)
        for text, calls, opaque in turn.rounds:
            asked = [ToolRequest(call.id, call.name, call.arguments) for call in calls]
            yield ChatMessage("assistant", text, asked, opaque=opaque)
            yield from map(told, calls)
        if turn.answer:
            yield ChatMessage("assistant", turn.answer, opaque=turn.opaque)


def told(called: CalledTool) -> ChatMessage:
    """Return what the model is told of a call."""
    text = called.error.message if called.error is not None else text_of(called.output)
    return ChatMessage("tool", text, tool_call_id=called.id, failed=called.error is not None)


def text_of(output: object) -> str:
    """Return a tool's output as a model reads it."""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
