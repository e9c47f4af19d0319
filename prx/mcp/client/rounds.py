"""Requests that a server of the newer era answers with questions: they are asked again, with the answers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from prx.core.upstream import UpstreamError
from prx.mcp.client.questions import REFUSED
from prx.mcp.client.requests import Message

METHODS: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The requests for which a server may ask."""
_MAX_ROUNDS: Final = 10
_MAX_QUESTIONS: Final = 16
_FIRST_PAUSE_SECS: Final = 0.05
_LONGEST_PAUSE_SECS: Final = 0.25

Send = Callable[[Mapping[str, Any]], Awaitable[Message]]
AnswerTo = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


def asks(result: Message) -> bool:
    """Tell whether a result is none yet: the server wants to know something first."""
    return result.get("resultType") == "input_required"


async def answered(result: Message, params: Mapping[str, Any], send: Send, answer: AnswerTo) -> Message:
    """Return what comes of a request in the end.

    Args:
        result: what the server asks.
        params: of the request, as it was sent first.
        send: sends it again, with these params.
        answer: answers one question by its method and params.

    Raises:
        UpstreamError: a question is not answered, or there is no end of them.
        UnavailableError: see `Requests.send`.
    """
    pause_secs = _FIRST_PAUSE_SECS
    for _ in range(_MAX_ROUNDS):
        again = dict(params)
        if (state := result.get("requestState")) is not None:
            again["requestState"] = state
        if questions := _questions(result):
            again["inputResponses"] = await _answers(questions, answer)
        else:
            # It is not done, and has nothing to ask.
            await asyncio.sleep(pause_secs)
            pause_secs = min(2 * pause_secs, _LONGEST_PAUSE_SECS)
        result = await send(again)
        if not asks(result):
            return result
    raise UpstreamError(f"it has asked {_MAX_ROUNDS} times, and asks again", REFUSED)


def _questions(result: Message) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return the method and params of each question, by the server's name for it.

    Raises:
        UpstreamError: they are none.
    """
    asked, state = result.get("inputRequests") or {}, result.get("requestState")
    if not isinstance(asked, dict) or not isinstance(state, str | None) or not (asked or state is not None):
        raise UpstreamError("it asks for input, and does not say for which", REFUSED)
    if len(asked) > _MAX_QUESTIONS:
        raise UpstreamError(f"it asks {len(asked)} questions at once: more than {_MAX_QUESTIONS}", REFUSED)
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for name, question in asked.items():
        method = question.get("method") if isinstance(question, dict) else None
        params = question.get("params") or {} if isinstance(question, dict) else None
        if not isinstance(method, str) or not isinstance(params, dict):
            raise UpstreamError("it asks a question that is none of MCP", REFUSED)
        found[name] = method, params
    return found


async def _answers(
    questions: Mapping[str, tuple[str, Mapping[str, Any]]], answer: AnswerTo
) -> dict[str, Mapping[str, Any]]:
    """Return all answers, or fail with the first question that gets none."""
    tasks = {name: asyncio.ensure_future(answer(*question)) for name, question in questions.items()}
    try:
        await asyncio.gather(*tasks.values())
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
    return {name: task.result() for name, task in tasks.items()}
