"""Requests during which the client is asked something, in the newest version: there, a question ends a round.

The request is answered with the questions. The client sends it again, with its answers and the state that it was given,
and gets the next round of what has been running all the time.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, NamedTuple

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from prx.core.upstream import Ask, Progress, UpstreamError
from prx.mcp.server.asking import REFUSED
from prx.mcp.server.context import Context, exchange_of
from prx.mcp.server.progress import progress_of
from prx.mcp.server.questions import Client, askable, is_answer, question_of

_MAX_HELD: Final = 256
_MAX_PER_TOKEN: Final = 32
_PATIENCE_SECS: Final = 300.0
_STATE: Final = "requestState"
_RESPONSES: Final = "inputResponses"
OF_A_ROUND: Final = frozenset({"_meta", _STATE, _RESPONSES})
"""The parameters that differ from round to round."""

Result = dict[str, Any]
Begin = Callable[[Ask, Progress | None], Coroutine[Any, Any, Result]]
"""Does what is asked for; the client can be asked meanwhile, and told of progress where it wants to be."""


class Rounds:
    """The requests of the newest version that run, and those of them that wait for their client's next round."""

    def __init__(
        self,
        *,
        max_held: int = _MAX_HELD,
        max_per_token: int = _MAX_PER_TOKEN,
        patience_secs: float = _PATIENCE_SECS,
    ) -> None:
        """Let so many wait, each for `patience_secs` at most."""
        self._max_held = max_held
        self._max_per_token = max_per_token
        self._patience_secs = patience_secs
        self._held: dict[str, tuple[_Work, asyncio.TimerHandle]] = {}
        self._running: set[asyncio.Task[Result]] = set()

    def __len__(self) -> int:
        """Return how many wait for their client."""
        return len(self._held)

    async def run(self, context: Context, begin: Begin) -> Result:
        """Return what comes of a request; in the newest version, that may be what the client is asked first.

        Raises:
            MCPError: it goes on with a state that nothing waits under, or with answers that are none.
        """
        async with progress_of(context) as progress:
            if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
                return await begin(Client(context), progress)
            work = self._resumed(context) or self._begun(context, begin, has_progress=progress is not None)
            work.progress = progress
            try:
                return await self._round(work)
            except asyncio.CancelledError:
                # The client has gone.
                work.task.cancel()
                raise
            finally:
                work.progress = None

    async def aclose(self) -> None:
        """Cancel everything that runs."""
        for _, timer in self._held.values():
            timer.cancel()
        self._held.clear()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def _begun(self, context: Context, begin: Begin, *, has_progress: bool) -> "_Work":
        work = _Work(context)
        task = asyncio.create_task(begin(work, work.tell if has_progress else None), name="mcp rounds")
        self._running.add(task)
        task.add_done_callback(self._ended)
        work.watch(task)
        return work

    def _resumed(self, context: Context) -> "_Work | None":
        """Return what the request goes on with, None where it is the first round."""
        state = (context.params or {}).get(_STATE)
        if state is None:
            return None
        work, timer = self._held.get(state, (None, None)) if isinstance(state, str) else (None, None)
        if work is None or timer is None or not work.belongs_to(context):
            raise MCPError(
                INVALID_PARAMS, "nothing waits under this requestState: send the request without it"
            )
        work.take((context.params or {}).get(_RESPONSES) or {})
        timer.cancel()
        del self._held[state]
        return work

    async def _round(self, work: "_Work") -> Result:
        while questions := await work.questions():
            if self._has_room(work):
                return {
                    "resultType": "input_required",
                    "inputRequests": questions,
                    _STATE: self._hold(work),
                }
            work.refuse("too many calls wait for what their clients are asked already")
        return work.task.result()

    def _has_room(self, work: "_Work") -> bool:
        own = sum(held.token_id == work.token_id for held, _ in self._held.values())
        return len(self._held) < self._max_held and own < self._max_per_token

    def _hold(self, work: "_Work") -> str:
        state = secrets.token_urlsafe(24)
        timer = asyncio.get_running_loop().call_later(self._patience_secs, self._give_up, state)
        self._held[state] = work, timer
        return state

    def _give_up(self, state: str) -> None:
        work, _ = self._held.pop(state)
        work.task.cancel()

    def _ended(self, task: asyncio.Task[Result]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # where nobody came back for it, nobody need hear of it


class _Question(NamedTuple):
    method: str
    asked: Mapping[str, Any]
    answer: asyncio.Future[Mapping[str, Any]]


class _Work:
    """One request through all its rounds. Also its client, as far as that can be asked; see `Ask`."""

    task: asyncio.Task[Result]

    def __init__(self, context: Context) -> None:
        """Begin with the first round."""
        self.capabilities = askable(context.session.client_capabilities)
        self.token_id = exchange_of(context).caller.token_id
        self.progress: Progress | None = None
        """Tells the client of the current round, where it wants to hear."""
        self._about = _about(context)
        self._open: dict[str, _Question] = {}
        self._asked = 0
        self._news = asyncio.Event()

    def watch(self, task: asyncio.Task[Result]) -> None:
        """Take the task that does what is asked for."""
        self.task = task
        task.add_done_callback(lambda _: self._news.set())

    async def __call__(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask the client, and wait for the round that brings the answer; see `Ask`."""
        question = question_of(method, params, self.capabilities)
        self._asked += 1
        name = f"question-{self._asked}"
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        asked = question.model_dump(by_alias=True, mode="json", exclude_none=True)
        self._open[name] = _Question(method, asked, answer)
        self._news.set()
        try:
            return await answer
        finally:
            self._open.pop(name, None)

    def tell(self, progress: float, total: float | None, message: str | None) -> None:
        """Tell of progress, unless nobody listens between two rounds."""
        if self.progress is not None:
            self.progress(progress, total, message)

    async def questions(self) -> dict[str, Mapping[str, Any]]:
        """Wait for questions, and return them by their names; none once it is done."""
        while True:
            self._news.clear()
            if self.task.done():
                return {}
            if self._open:
                return {name: question.asked for name, question in self._open.items()}
            await self._news.wait()
            await asyncio.sleep(0)  # what is asked at the same time belongs to the same round

    def belongs_to(self, context: Context) -> bool:
        """Tell whether a request is this one's next round."""
        return self.token_id == exchange_of(context).caller.token_id and self._about == _about(context)

    def take(self, answers: Mapping[str, Any]) -> None:
        """Take what the client answers; what it leaves out is asked again.

        Raises:
            MCPError: one is no answer to its question.
        """
        given = {name: answer for name, answer in answers.items() if name in self._open}
        for name, answer in given.items():
            if not is_answer(method := self._open[name].method, answer):
                raise MCPError(INVALID_PARAMS, f"{_RESPONSES}.{name} does not answer {method}")
        for name, answer in given.items():
            if not (waiting := self._open.pop(name).answer).done():
                waiting.set_result(answer)

    def refuse(self, reason: str) -> None:
        """Give no answer to any question that is open."""
        for name in list(self._open):
            if not (waiting := self._open.pop(name).answer).done():
                waiting.set_exception(UpstreamError(reason, REFUSED))


def _about(context: Context) -> tuple[str, dict[str, Any]]:
    """Return what is the same in all rounds of a request."""
    params = context.params or {}
    return context.method, {key: value for key, value in params.items() if key not in OF_A_ROUND}
