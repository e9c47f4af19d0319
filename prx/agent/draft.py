"""A turn from the outside: what it is about, and what has become of it so far."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from prx.agent.budgets import Spent
from prx.agent.files import Files
from prx.agent.message_table import History, Summary
from prx.agent.round_table import Progress
from prx.core.ids import new_id, now_utc
from prx.core.message import Answer, CalledTool, Failure, Message, Round
from prx.core.provider import ChatAnswer
from prx.core.session import TokenUsage
from prx.core.text import well_formed

_NOT_CALLED: Final = Failure("interrupted", "Not called: the turn ended before that was allowed")
_UNKNOWN: Final = Failure(
    "interrupted", "The turn ended while this ran: it may have been done, in part or in whole"
)


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


class Notes(Protocol):
    """Told of changes of a draft's rounds. Neither blocks."""

    def calls_begin(self) -> None:
        """Calls are about to be made."""

    def call_ended(self) -> None:
        """There is something that came of a call."""


class NoNotes:
    """Nobody wants to know; see `Notes`."""

    def calls_begin(self) -> None:
        """See `Notes.calls_begin`."""

    def call_ended(self) -> None:
        """See `Notes.call_ended`."""


@dataclass(slots=True)
class Draft:
    """What has become of a turn so far, whatever becomes of the rest."""

    content: str | None = None
    """The user's message as middleware changed it; None where it did not."""
    let_in: bool = False
    """Whether the message may be seen by a model."""
    rounds: list[Round] = field(default_factory=list)
    """The last one's calls are perhaps still made; each has what is true of it should nothing more be heard of it."""
    text: str = ""
    usage: TokenUsage = TokenUsage()  # noqa: RUF009  # a value that never changes
    cost_usd: float | None = None
    provider: str = ""
    model: str = ""
    finish: str = "other"
    opaque: str | None = None
    summary: Summary | None = None
    """Of the older part of the conversation, where one was made."""
    files: Files = field(default_factory=Files)
    """What tools gave back for the user."""
    notes: Notes = field(default_factory=NoNotes)

    @classmethod
    def restored(cls, rounds: list[Round], progress: Progress | None) -> "Draft":
        """Return what had become of a turn in an earlier life."""
        draft = cls(let_in=bool(rounds), rounds=rounds)
        if progress is not None:
            draft.usage, draft.cost_usd, draft.provider, draft.model = progress
        return draft

    def begin_round(self, answer: ChatAnswer, is_held: Callable[[str], bool]) -> None:
        """Note that the model wants tools called, which they are but for those whose name `is_held`."""
        calls = [
            CalledTool(*request, error=_NOT_CALLED if is_held(request.name) else _UNKNOWN)
            for request in answer.tool_calls
        ]
        self.rounds.append(Round(answer.text, calls, answer.opaque))
        self.text = ""
        self.notes.calls_begin()

    def begin_call(self, number: int) -> None:
        """Note that a call of the last round that was held is made; it has this place in the round, from 0."""
        self.calls[number] = self.calls[number]._replace(error=_UNKNOWN)
        self.notes.calls_begin()

    def end_call(self, number: int, called: CalledTool) -> None:
        """Note what came of a call of the last round."""
        self.calls[number] = called
        self.notes.call_ended()

    @property
    def calls(self) -> list[CalledTool]:
        """The calls of the last round."""
        calls = self.rounds[-1].calls
        assert isinstance(calls, list)  # noqa: S101  # as `begin_round` made it
        return calls

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
            content=well_formed(self.text),
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
            # Whoever blocked the answer blocked these with it.
            files=self.files.kept if failure is None else (),
            files_left_out=self.files.left_out if failure is None else (),
        )
