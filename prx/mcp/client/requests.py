"""Requests to an MCP server beside those of the SDK's session: plain JSON both ways, on the same connection.

The session negotiates, answers the server's own requests and keeps subscriptions. What is asked often, or passed on
as it is, goes this way: no models in between, and a fraction of the time.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

from prx.core.errors import PrxError, UnavailableError
from prx.core.upstream import Progress, UpstreamError

Message = dict[str, Any]

# The session counts its own from 1.
_FIRST_ID: Final = 1_000_000_000
_MAX_IN_FLIGHT: Final = 256


class LostError(UnavailableError):
    """The connection ended before the answer came: whether the request ran, nobody knows."""


class SessionLostError(UnavailableError):
    """The server has forgotten the connection, and did nothing of what was asked."""


class SlowError(UnavailableError):
    """No answer came in time."""


class TooLargeError(UpstreamError):
    """The answer is larger than is read."""


class _Waiting(NamedTuple):
    answer: asyncio.Future[Message]
    progress: Progress | None
    timer: asyncio.TimerHandle


class Requests:
    """The requests that wait for an answer on one connection."""

    def __init__(self, post: Callable[[Message], None]) -> None:
        """Send with `post`, which waits for nothing and raises UnavailableError where it cannot."""
        self._post = post
        self._waiting: dict[int, _Waiting] = {}
        self._next_id = _FIRST_ID
        self._held = 0
        self._ended: str | None = None

    @property
    def in_flight(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Have nothing run out of time during the block: the server itself waits for an answer of ours."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1

    async def send(
        self, method: str, params: Mapping[str, Any], timeout_secs: float, progress: Progress | None = None
    ) -> Message:
        """Return the result. Cancelling this cancels the request there.

        Raises:
            UpstreamError: the server answered with an error.
            LostError: the connection ended meanwhile.
            SessionLostError: it had ended before, and nothing ran.
            SlowError: no answer in time; the server was told that nobody waits any more.
            UnavailableError: it could not be sent.
        """
        if self._ended is not None:
            raise UnavailableError(self._ended)
        if len(self._waiting) >= _MAX_IN_FLIGHT:
            raise UnavailableError(f"{_MAX_IN_FLIGHT} requests wait for an answer already")
        self._next_id += 1
        number = self._next_id
        if progress is not None:
            params = {**params, "_meta": {**params.get("_meta", {}), "progressToken": number}}
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Message] = loop.create_future()
        # Half the price of `asyncio.timeout`, as there is one future alone to wait for.
        timer = loop.call_later(timeout_secs, self._expire, number, timeout_secs)
        self._waiting[number] = _Waiting(answer, progress, timer)
        try:
            self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params)})
            return await answer
        except TimeoutError:
            self._give_up(number, "it took too long")
            raise SlowError(f"no answer to {method} within {timeout_secs:g} s") from None
        except asyncio.CancelledError:
            self._give_up(number, "nobody waits for it any more")
            raise
        finally:
            self._waiting.pop(number).timer.cancel()

    def take(self, message: Message) -> bool:
        """Hand over an answer or the progress of one of these requests; False for any other message."""
        if "method" not in message:
            return self._answer(message)
        if message["method"] != "notifications/progress":
            return False
        params = message.get("params")
        if not isinstance(params, dict):
            return False
        waiting = self._find(params.get("progressToken"))
        if waiting is None or waiting.progress is None:
            return False
        if isinstance(progress := params.get("progress"), int | float):
            total, text = params.get("total"), params.get("message")
            waiting.progress(
                progress,
                total if isinstance(total, int | float) else None,
                text if isinstance(text, str) else None,
            )
        return True

    def fail(self, number: Any, error: PrxError) -> bool:
        """Fail the request of this id; False where it is none of these."""
        if (waiting := self._find(number)) is None:
            return False
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
        return True

    def end(self, reason: str) -> None:
        """Fail everything that waits, and what comes later."""
        self._ended = reason
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(LostError(reason))

    def _answer(self, message: Message) -> bool:
        waiting = self._find(message.get("id"))
        if waiting is None:
            return False
        if not waiting.answer.done():
            result, error = message.get("result"), message.get("error")
            if isinstance(result, dict):
                waiting.answer.set_result(result)
            else:
                waiting.answer.set_exception(_upstream_error(error))
        return True

    def _find(self, number: Any) -> _Waiting | None:
        if isinstance(number, str) and number.isdecimal() and len(number) <= len(str(_FIRST_ID)) + 1:
            number = int(number)
        return self._waiting.get(number) if type(number) is int else None

    def _expire(self, number: int, timeout_secs: float) -> None:
        waiting = self._waiting[number]
        if self._held:
            timer = asyncio.get_running_loop().call_later(timeout_secs, self._expire, number, timeout_secs)
            self._waiting[number] = waiting._replace(timer=timer)
        elif not waiting.answer.done():
            waiting.answer.set_exception(TimeoutError())

    def _give_up(self, number: int, reason: str) -> None:
        params = {"requestId": number, "reason": reason}
        with suppress(UnavailableError):  # where the connection ends, so does the request
            self._post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})


def _upstream_error(error: Any) -> UpstreamError:
    if not isinstance(error, dict):
        return UpstreamError("the answer has neither a result nor an error", 0)
    message, number = error.get("message"), error.get("code")
    return UpstreamError(
        message if isinstance(message, str) else "an error without a message",
        number if type(number) is int else 0,
        error.get("data"),
    )
