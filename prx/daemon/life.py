"""The life of one run: what goes on in the background, the signals that end it, and the order of the ends."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractContextManager, AsyncExitStack
from typing import Any

from prx.runtime.endings import end
from prx.runtime.logging import get_logger

STEP_SECS = 10.0
"""How long one part may take to end."""

_log = get_logger("daemon")


class Life:
    """Leads a boot to a stop: parts say here how they are ended, and are ended in reverse, each in bounded time."""

    def __init__(self) -> None:
        """Begin with nothing to end."""
        self._endings = AsyncExitStack()
        self._stop = asyncio.Event()
        self._forced = asyncio.Event()
        self._failure: BaseException | None = None

    async def lead(
        self,
        boot: Coroutine[Any, Any, None],
        drain: Callable[[], Awaitable[None]],
        on_hangup: Callable[[], None],
    ) -> None:
        """Boot, wait for a signal that ends the run, drain, and end every part; SIGHUP calls `on_hangup`.

        Raises:
            PrxError: the boot failed; what had been started is ended.
            Exception: what work in the background ended with.
        """
        self._listen_to_signals(on_hangup)
        async with self._endings:
            booting = asyncio.create_task(boot, name="boot")
            stop = asyncio.create_task(self._stop.wait(), name="stop")
            await asyncio.wait({booting, stop}, return_when=asyncio.FIRST_COMPLETED)
            if booting.done():
                booting.result()
                await stop
            else:
                booting.cancel()
                await self.end("boot", _gone(booting), within_secs=STEP_SECS)
            await drain()
        if self._failure is not None:
            raise self._failure

    def in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` until the end; should it fail, the daemon ends as crashed."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_background_end)

        async def cancelled() -> None:
            task.cancel()
            await _gone(task)

        self.at_end(name, cancelled)

    def at_end(self, part: str, closing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have `closing` end `part`, before everything that was named earlier."""

        async def ended() -> None:
            await self.end(part, closing(), within_secs=STEP_SECS)

        self._endings.push_async_callback(ended)

    def hold(self, context: AbstractContextManager[Any]) -> None:
        """Enter `context`, and leave it before everything that was named earlier is ended."""
        self._endings.enter_context(context)

    async def end(self, part: str, closing: Coroutine[Any, Any, object], *, within_secs: float) -> None:
        """Wait for `closing` for at most `within_secs`, or until a second signal is in a hurry."""
        await end(part, closing, within_secs=within_secs, forced=self._forced)

    def _listen_to_signals(self, on_hangup: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal, number)

    def _on_stop_signal(self, number: signal.Signals) -> None:
        """Drain at the first signal, hurry at the second; a third is the kernel's."""
        if self._stop.is_set():
            _log.warning("forced to stop: calls in flight are cut off", signal=number.name)
            self._forced.set()
            for each in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)
        self._stop.set()

    def _on_background_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._stop.set()


async def _gone(task: asyncio.Task[Any]) -> None:
    await asyncio.wait({task})
