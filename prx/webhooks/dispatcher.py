"""The unit that delivers: a lane for each hook, and one hand that reads and writes the store for all of them."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Final

from prx.config.integrations import HooksConfig
from prx.core.errors import ConflictError, UnavailableError
from prx.core.ids import iso_utc, new_id, now_utc
from prx.core.unit import Problem
from prx.runtime.egress.delivery import DeliveryClient
from prx.runtime.egress.resolver import Names
from prx.runtime.logging import get_logger
from prx.runtime.store import Store
from prx.webhooks import deliveries, table
from prx.webhooks.deliveries import Result
from prx.webhooks.events import TEST_EVENT
from prx.webhooks.feed import Feed
from prx.webhooks.hook import Delivery, Hook, Keys, Outcome, Pending
from prx.webhooks.lane import Lane
from prx.webhooks.outbox import Happening, body_of
from prx.webhooks.pauses import FIRST_SECS
from prx.webhooks.registry import MAX_HOOKS, Registry
from prx.webhooks.sender import Sender
from prx.webhooks.troubles import failing_problem

MAX_TESTS: Final = 8
_TURN_SECS: Final = 0.02
"""Between two turns: many attempts are written down together."""
_RETRY_SECS: Final = 1.0
_SWEEP_SECS: Final = 60.0

_log = get_logger("webhooks")


class Dispatcher:
    """Delivers what is pending, for as long as it runs."""

    name = "webhooks.dispatcher"

    def __init__(
        self,
        store: Store,
        registry: Registry,
        feed: Feed,
        names: Names,
        config: Callable[[], HooksConfig],
        first_pause_secs: float = FIRST_SECS,
    ) -> None:
        """Deliver nothing yet; a hook that failed once is tried again after about `first_pause_secs`."""
        self._store = store
        self._registry = registry
        self._feed = feed
        self._names = names
        self._config = config
        self._first_pause_secs = first_pause_secs
        self._lanes: dict[int, tuple[Lane, asyncio.Task[None]]] = {}
        self._left: list[Result] = []
        """What lanes that have ended had tried and nobody has written down yet."""
        self._turn_due = asyncio.Event()
        self._sweep_due = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._sender: Sender | None = None
        self._tests = 0
        self.attempts = Counter[str]()
        """How often deliveries were tried, by what came of it: `delivered` or `failed`."""

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`."""
        try:
            async with (
                DeliveryClient(self._names, max_connections=MAX_HOOKS + MAX_TESTS) as client,
                asyncio.TaskGroup() as group,
            ):
                self._group, self._sender = group, Sender(client, self._config)
                self._registry.changed = self._follow
                for hook in self._registry.all():
                    self._follow(hook)
                group.create_task(self._feed.run())
                group.create_task(self._sweep_forever())
                group.create_task(self._turn_forever())
                started()
        finally:
            self._registry.changed = lambda _: None
            self._group = self._sender = None
            lanes = [lane for lane, _ in self._lanes.values()]
            self._lanes.clear()
            results = self._results(lanes)
            if results:
                await self._store.run(lambda db: deliveries.turn(db, results, {}))

    def notice(self, hooks: Iterable[int]) -> None:
        """Know that something was queued for `hooks`, by number."""
        for number in hooks:
            if number in self._lanes:
                self._lanes[number][0].notice()
        self._turn_due.set()

    def problems(self) -> list[Problem]:
        """Return which receivers fail again and again, before their hooks are switched off."""
        found = (
            failing_problem(lane.hook, lane.failing, lane.next_try_ms)
            for lane, _ in self._lanes.values()
            if lane.failing is not None
        )
        return [problem for problem in found if problem is not None]

    async def test(self, hook: Hook) -> Delivery:
        """Send `hook` an event of its own, once and whatever its state is; return what became of it.

        Raises:
            UnavailableError: too many tests are under way, or nothing is delivered now.
            ConflictError: its secret cannot be read.
            NotFoundError: it was removed meanwhile.
        """
        keys = self._registry.keys(hook)
        if keys is None:
            raise ConflictError(f"The secret of hook {hook.id} cannot be read: PATCH it with another one")
        if self._sender is None or self._tests >= MAX_TESTS:
            raise UnavailableError("No test can be sent now: too many are under way, or the daemon stops")
        happening = Happening(TEST_EVENT, {"hook_id": hook.id}, now_utc())
        event_id = new_id("evt")
        self._tests += 1
        try:
            outcome = await self._attempt(self._sender, hook, keys, event_id, body_of(event_id, happening))
        finally:
            self._tests -= 1
        return await self._store.run(
            lambda db: deliveries.note_test(db, hook, (event_id, happening), outcome)
        )

    async def retry(self, hook: Hook, delivery_id: str) -> Delivery:
        """Deliver again, before what is newer, whatever became of it; return it as it waits for that.

        Raises:
            NotFoundError: the hook has no such delivery.
            ConflictError: the hook is not active.
        """

        def job(connection: sqlite3.Connection) -> Delivery:
            number, _ = deliveries.find(connection, hook, delivery_id)
            if not hook.active:
                raise ConflictError(
                    f'Hook {hook.id} is not active: switch it on with {{"active": true}}, and all that it waits for '
                    "is delivered"
                )
            deliveries.try_again(connection, hook.number, number)
            return deliveries.find(connection, hook, delivery_id)[1]

        delivery = await self._store.run(job)
        self._follow(hook)
        return delivery

    async def _send(self, hook: Hook, pending: Pending) -> Outcome:
        keys = self._registry.keys(hook)
        assert self._sender is not None and keys is not None  # noqa: S101, PT018  # a lane runs only with both
        return await self._attempt(self._sender, hook, keys, pending.id, pending.body)

    async def _attempt(self, sender: Sender, hook: Hook, keys: Keys, event_id: str, body: bytes) -> Outcome:
        outcome = await sender.send(hook, keys, event_id, body)
        self.attempts["delivered" if outcome.delivered else "failed"] += 1
        return outcome

    def _follow(self, hook: Hook) -> None:
        """Have a lane for `hook` if it is to be served as it is now."""
        current = self._registry.current(hook)
        serves = current is not None and current.active and self._registry.keys(current) is not None
        if current is None:
            self._sweep_due.set()
        if current is None or not serves:
            self._end_lane(hook)
        elif hook.number in self._lanes:
            lane, _ = self._lanes[hook.number]
            lane.hook = current
            lane.rewind()
        elif self._group is not None:
            self._begin_lane(current, self._group)

    def _begin_lane(self, hook: Hook, group: asyncio.TaskGroup) -> None:
        lane = Lane(
            hook, self._send, self._switch_off, self._turn_due.set, self._config, self._first_pause_secs
        )
        self._lanes[hook.number] = lane, group.create_task(lane.run(), name=f"hook {hook.id}")

    def _end_lane(self, hook: Hook) -> None:
        if hook.number in self._lanes:
            lane, task = self._lanes.pop(hook.number)
            self._left += lane.results
            task.cancel()
            self._turn_due.set()

    async def _switch_off(self, hook: Hook, result: Result, reason: str) -> bool:
        while True:
            try:
                return await self._registry.switch_off(hook, result, reason)
            except UnavailableError as error:  # `/status` says so, too
                _log.warning("what became of a delivery cannot be stored", reason=error.message)
                await asyncio.sleep(_RETRY_SECS)

    async def _turn_forever(self) -> None:
        """Write down what was tried and read what is next, for all lanes at once and one turn at a time."""
        while True:
            await self._turn_due.wait()
            self._turn_due.clear()
            lanes = [lane for lane, _ in self._lanes.values()]
            results = self._results(lanes)
            asking = [(lane, lane.reading) for lane in lanes if lane.wants_more]
            wanted = {lane.hook.number: lane.read_up_to for lane, _ in asking}
            for lane, _ in asking:
                lane.read()
            await self._turn(results, asking, wanted)
            await asyncio.sleep(_TURN_SECS)

    async def _turn(
        self, results: list[Result], asking: list[tuple[Lane, int]], wanted: dict[int, int]
    ) -> None:
        if not results and not wanted:
            return
        try:
            found = await self._store.run(lambda db: deliveries.turn(db, results, wanted))
        except asyncio.CancelledError:
            self._left = [*results, *self._left]  # written down at the end; twice does no harm
            raise
        except UnavailableError as error:  # `/status` says so, too
            _log.warning("what became of deliveries cannot be stored and waits", reason=error.message)
            self._left = [*results, *self._left]
            for lane, _ in asking:
                lane.notice()
            await asyncio.sleep(_RETRY_SECS)
            self._turn_due.set()
            return
        for lane, reading in asking:
            if lane.reading == reading:
                lane.feed(found[lane.hook.number])

    def _results(self, lanes: Iterable[Lane]) -> list[Result]:
        """Take what is to be written down."""
        results, self._left = self._left, []
        for lane in lanes:
            results += lane.results
            lane.results = []
        return results

    async def _sweep_forever(self) -> None:
        while True:
            try:
                await self._sweep()
            except UnavailableError as error:  # `/status` says so, too
                _log.warning("old deliveries cannot be removed", reason=error.message)
            self._sweep_due.clear()
            try:
                async with asyncio.timeout(_SWEEP_SECS):
                    await self._sweep_due.wait()
            except TimeoutError:
                continue

    async def _sweep(self) -> None:
        """Remove what is not kept any longer, in small steps, so that others get their turn at the store."""
        for number in await self._store.run(table.removed):
            while await self._store.run(partial(deliveries.forget, hook=number)):
                continue
        for hook in self._registry.all():
            config = self._config()
            before = iso_utc(now_utc() - timedelta(days=config.event_retention_days))
            while await self._registry.prune(hook, max_backlog=config.max_backlog, before=before):
                continue
