"""Conversations that outgrow what a model takes in: the older part becomes a summary."""

from collections.abc import Iterator, Sequence
from typing import Final

from prx.agent.message_table import PastTurn, Summary
from prx.core.provider import ChatMessage, ChatRequest

CHARS_PER_TOKEN: Final = 4
_MAX_TOLD_CHARS: Final = 2000
"""Of one text, to whoever summarizes."""
_MAX_SUMMARY_CHARS: Final = 16 * 1024

_ASK: Final = (
    "You summarize conversations between a user and an assistant, so that the assistant can go on with them. "
    "Keep what was asked, decided and found out, names, numbers and open questions; leave out small talk. Answer "
    "with the summary alone, in the conversation's language, in at most 500 words."
)


def tokens_of(past: Sequence[PastTurn]) -> int:
    """Return about how many tokens past turns are to a model."""
    return sum(map(_chars_of, past)) // CHARS_PER_TOKEN


def tokens_in(*texts: str) -> int:
    """Return about how many tokens texts are to a model."""
    return sum(map(len, texts)) // CHARS_PER_TOKEN


def split(past: Sequence[PastTurn], room: int) -> tuple[Sequence[PastTurn], Sequence[PastTurn]]:
    """Return past turns as the older ones, and the newest that are at most `room` tokens."""
    kept, used = len(past), 0
    while kept and (used := used + _chars_of(past[kept - 1])) <= room * CHARS_PER_TOKEN:
        kept -= 1
    return past[:kept], past[kept:]


def to_summarize(older: Sequence[PastTurn], before: str | None, model: str) -> ChatRequest:
    """Return the request for a summary of `older` turns and of what was summarized `before`."""
    told = [] if before is None else [f"Summary of what came before:\n{before}"]
    told += (line for turn in older for line in _told(turn))
    return ChatRequest([ChatMessage("user", "\n\n".join(told))], model, system=_ASK)


def summary_of(text: str, older: Sequence[PastTurn]) -> Summary | None:
    """Return what the model made of `older` turns; None where that is nothing."""
    text = text.strip()[:_MAX_SUMMARY_CHARS]
    return Summary(text, older[-1].number) if text else None


def _told(turn: PastTurn) -> Iterator[str]:
    yield f"User: {_cut(turn.content)}"
    for each in turn.rounds:
        for call in each.calls:
            came = call.error.message if call.error is not None else str(call.output)
            yield f"Tool {call.name} {_cut(call.arguments)}: {_cut(came)}"
    if turn.answer:
        yield f"Assistant: {_cut(turn.answer)}"


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TOLD_CHARS else f"{text[:_MAX_TOLD_CHARS]} [...]"


def _chars_of(turn: PastTurn) -> int:
    calls = [call for each in turn.rounds for call in each.calls]
    return (
        len(turn.content)
        + len(turn.answer or "")
        + sum(len(each.text) for each in turn.rounds)
        + sum(len(call.arguments) + len(str(call.output or call.error)) for call in calls)
    )
