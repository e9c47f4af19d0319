"""A turn from the outside: what it is about, and what has become of it so far."""

from dataclasses import dataclass, field

from prx.agent.budgets import Spent
from prx.agent.message_table import History, Summary
from prx.core.ids import new_id, now_utc
from prx.core.message import Answer, Failure, Message, Round
from prx.core.provider import ChatAnswer
from prx.core.session import TokenUsage


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a turn is about."""

    message: Message
    channel: str
    user_id: str
    history: History
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
    summary: Summary | None = None
    """Of the older part of the conversation, where one was made."""

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
