"""The threads on which one plugin's calls run, and the way there and back.

A thread of its own keeps a plugin that loops from taking its siblings' threads, and a queue straight to it is quicker
than a default executor. Threads start when calls wait and end when none came for a while.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from prx.core.errors import PrxError, UnavailableError

_IDLE_SECS = 30.0

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class Completions:
    """Carries results from all lanes to the event loop, many in one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver to `loop`."""
        self._loop = loop
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._scheduled = False

    def deliver(self, future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        """Settle `future` on the loop; called from any thread."""
        self._done.append((future, result, error))
        # A wake-up that is already under way takes this one along: it clears the flag before it empties the queue.
        if not self._scheduled:
            self._scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._settle)
            except RuntimeError:
                # The loop is closed: the daemon is past its drain and nobody waits for the result.
                self._done.clear()

    def _settle(self) -> None:
        self._scheduled = False
        while self._done:
            future, result, error = self._done.popleft()
            if future.done():  # the caller went away
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)


class Lane:
    """At most `threads` calls of one plugin at a time; at most `waiting` more wait."""

    def __init__(
        self,
        name: str,
        completions: Completions,
        *,
        threads: int,
        waiting: int,
        on_idle: Callable[[bool], None],
    ) -> None:
        """Start no thread yet.

        `on_idle(asleep)` runs on a lane's thread when no call waits: false after work, true when the last thread ends.
        """
        self._name = name
        self._completions = completions
        self._max_threads = threads
        self._max_outstanding = threads + waiting
        self._on_idle = on_idle
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._outstanding = 0
        self._refuse: Callable[[], PrxError] | None = None
        """What every call is refused with once the lane was abandoned."""
        self._ending = False
        """Whether threads end as soon as no call waits, rather than after a rest."""
        self._ended: asyncio.Future[None] | None = None

    @property
    def outstanding(self) -> int:
        """How many calls run or wait."""
        return self._outstanding

    def submit(self, job: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Run `job` on one of the lane's threads; called on the loop.

        Raises:
            UnavailableError: too many calls wait already.
            PrxError: the lane was abandoned.
        """
        with self._lock:
            if self._refuse is not None:
                raise self._refuse()
            if self._outstanding >= self._max_outstanding:
                raise UnavailableError(
                    f'plugin "{self._name}" is busy: {self._outstanding} calls run or wait; try again, or raise '
                    "max_concurrency in its [resources]"
                )
            self._outstanding += 1
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._queue.put((job, future))
            if self._outstanding > len(self._threads) < self._max_threads:
                thread = threading.Thread(target=self._work, name=f"prx-{self._name}", daemon=True)
                self._threads.add(thread)
                thread.start()
        return future

    def abandon(self, refuse: Callable[[], PrxError]) -> None:
        """Take no more calls and refuse those that wait with what `refuse` makes; those that run go on."""
        with self._lock:
            self._refuse = refuse
            woken = False
            with suppress(Empty):
                while True:
                    item = self._queue.get_nowait()
                    if item is None:
                        woken = True
                        continue
                    self._outstanding -= 1
                    self._completions.deliver(item[1], None, refuse())
            if woken:
                self._queue.put(None)

    async def aclose(self, timeout_secs: float) -> bool:
        """Wait for the calls that run or wait and end the threads; false when one outlived the timeout.

        A call that was on its way here and comes only now still runs, on a thread that ends after it.
        """
        with self._lock:
            self._ending = True
            if not self._threads:
                return True
            if self._ended is None or self._ended.done():
                self._ended = asyncio.get_running_loop().create_future()
                self._queue.put(None)  # wakes one thread, which wakes the next
        done, _ = await asyncio.wait({self._ended}, timeout=timeout_secs)
        return bool(done)

    def _work(self) -> None:
        try:
            while self._work_once():
                pass
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
                last = not self._threads
                if self._ending and not last:
                    self._queue.put(None)
            if last:
                try:
                    self._on_idle(True)  # noqa: FBT003  # one flag, named in the contract
                finally:
                    if self._ended is not None:
                        self._completions.deliver(self._ended, None, None)

    def _work_once(self) -> bool:
        try:
            item = self._queue.get(timeout=0 if self._ending else _IDLE_SECS)
        except Empty:
            item = None
        if item is None:
            return not self._may_leave()
        job, future = item
        result, error = None, None
        try:
            if not future.cancelled():
                result = job()
        except BaseException as raised:  # noqa: BLE001  # whatever it is, it belongs to the caller who waits for it
            error = raised
        with self._lock:
            self._outstanding -= 1
        self._completions.deliver(future, result, error)
        del job, future, item, result, error
        if self._queue.empty():
            self._on_idle(False)  # noqa: FBT003  # one flag, named in the contract
        return True

    def _may_leave(self) -> bool:
        """Take this thread off the lane, unless a call came in meanwhile."""
        with self._lock:
            if not self._queue.empty():
                return False
            self._threads.discard(threading.current_thread())
            return True
