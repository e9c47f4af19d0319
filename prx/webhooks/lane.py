"""One hook's deliveries: one after the other, in the order in which things happened."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from prx.config.integrations import HooksConfig
from prx.webhooks.deliveries import MAX_READ, Result
from prx.webhooks.hook import Failing, Hook, Outcome, Pending
from prx.webhooks.pauses import MOST_ASKED_SECS, pause_secs

_LOW: Final = MAX_READ // 2

Send = Callable[[Hook, Pending], Awaitable[Outcome]]
SwitchOff = Callable[[Hook, Result, str], Awaitable[bool]]


class Lane:
    """Waits for what is pending, sends it, and begins again with what failed when it is due."""

    def __init__(
        self,
        hook: Hook,
        send: Send,
        switch_off: SwitchOff,
        ask: Callable[[], None],
        config: Callable[[], HooksConfig],
        first_pause_secs: float,
    ) -> None:
        """Send with `send`; `ask` is called when there are `results` to write down or `wants_more`.

        `switch_off` returns False where the attempt does not count: somebody had the event tried afresh meanwhile.
        """
        self.hook = hook
        self._send = send
        self._switch_off = switch_off
        self._ask = ask
        self._config = config
        self._first_pause_secs = first_pause_secs
        self._queue: deque[Pending] = deque()
        self._changed = asyncio.Event()
        self._rewound = False
        self._behind = True
        self.results: list[Result] = []
        """What was tried and is not written down yet."""
        self.read_up_to = 0
        """The last event that was read from the store."""
        self.reading = 0
        """Counts how often reading began anew: what was asked for before that is not wanted."""
        self.failing: Failing | None = None
        """What failed since the last delivery that was taken."""

    @property
    def wants_more(self) -> bool:
        """Whether there may be more to read, and room for it."""
        return self._behind and len(self._queue) <= _LOW

    @property
    def next_try_ms(self) -> int:
        """When it sends the next time, in milliseconds since 1970; what is past means now."""
        return self._queue[0].next_try_ms if self._queue else 0

    def notice(self) -> None:
        """Know that something was queued."""
        self._behind = True

    def read(self) -> None:
        """Know that the store is being asked for more."""
        self._behind = False

    def feed(self, pending: list[Pending]) -> None:
        """Take what the store had; as many as `MAX_READ` mean that it may have more."""
        self._queue.extend(pending)
        if pending:
            self._remember(pending[0])
            self.read_up_to = pending[-1].event
            self._behind = self._behind or len(pending) == MAX_READ
            self._changed.set()

    def rewind(self) -> None:
        """Read anew what is pending, once the attempt that is under way is over: the store was changed."""
        self._rewound = True
        self._changed.set()

    async def run(self) -> None:
        """Deliver until cancelled, or until the hook is switched off."""
        while True:
            pending = await self._next_due()
            outcome = await self._send(self.hook, pending)
            attempts = pending.attempts + 1
            if outcome.delivered:
                self.failing = None
                self._queue.popleft()
                self._note(Result(self.hook.number, pending.event, "delivered", attempts, outcome))
                continue
            self._fail(outcome)
            reason = self._reason_to_end(outcome, attempts)
            due_ms = 0 if reason else _now_ms() + self._pause_ms(outcome, attempts)
            result = Result(
                self.hook.number, pending.event, "pending", attempts, outcome, due_ms, pending.round
            )
            if reason is not None:
                if await self._switch_off(self.hook, result, reason):
                    return
                self.rewind()
                continue
            self._queue[0] = pending._replace(attempts=attempts, next_try_ms=due_ms)
            self._note(result)

    async def _next_due(self) -> Pending:
        while True:
            self._changed.clear()
            if self._rewound:
                self._rewound = False
                self._queue.clear()
                self.read_up_to, self._behind = 0, True
                self.reading += 1
            if self.wants_more:
                self._ask()
            if not self._queue:
                await self._changed.wait()
                continue
            wait_secs = (self._queue[0].next_try_ms - _now_ms()) / 1000
            # A pause that is longer than any means that the clock was set back; one that began ends as it was to.
            if not 0 < wait_secs <= MOST_ASKED_SECS:
                return self._queue[0]
            try:
                async with asyncio.timeout(wait_secs):
                    await self._changed.wait()
            except TimeoutError:
                return self._queue[0]

    def _remember(self, pending: Pending) -> None:
        """Know of the attempts that failed before this run."""
        if self.failing is None and pending.attempts and pending.error and pending.last_attempt_at:
            self.failing = Failing(pending.attempts, pending.last_attempt_at, pending.error)

    def _fail(self, outcome: Outcome) -> None:
        before = self.failing or Failing(0, outcome.at, "")
        self.failing = Failing(before.attempts + 1, before.since, outcome.error or "")

    def _reason_to_end(self, outcome: Outcome, attempts: int) -> str | None:
        if outcome.gone:
            return "the receiver answered 410: it takes nothing any more"
        if attempts > self._config().max_retries:
            return f"{attempts} attempts failed, one after the other; the last one: {outcome.error}"
        return None

    def _pause_ms(self, outcome: Outcome, attempts: int) -> int:
        asked = outcome.retry_after_secs
        return int(
            1000 * (pause_secs(attempts, self._first_pause_secs) if asked is None else max(1.0, asked))
        )

    def _note(self, result: Result) -> None:
        self.results.append(result)
        self._ask()


def _now_ms() -> int:
    return int(1000 * time.time())
