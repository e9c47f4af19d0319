"""One loaded version of a plugin: its code, its tools, the threads it runs on and what it has used."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prx.core.errors import PrxError
from prx.core.tool import CallContext, Receipt, ToolFailure, ToolResult
from prx.plugins.abi.memory import Borrowed
from prx.plugins.attempt import Attempt, Attempts
from prx.plugins.calls import Call, GuestError, Owner
from prx.plugins.code import Code
from prx.plugins.engine import Ticker
from prx.plugins.faults import stopped, too_large
from prx.plugins.instance import Instance
from prx.plugins.instances import Instances
from prx.plugins.lane import Completions, Lane
from prx.plugins.meter import Meter
from prx.plugins.settings import Settings, surroundings_of
from prx.plugins.worlds.binding import Binding

_LITTLE_BYTES = 64 * 1024


class Generation:
    """Runs the calls of one version; an old one ends its calls while a newer one takes the new."""

    def __init__(self, owner: Owner, code: Code, ticker: Ticker, completions: Completions) -> None:
        """Start nothing yet: threads and instances come with the first call."""
        self.owner = owner
        self.limits = limits = owner.limits
        self._code = code
        self._ticker = ticker
        self._instances = Instances(self._make, owner)
        self._lane = Lane(
            owner.plugin,
            completions,
            threads=limits.max_concurrency,
            waiting=limits.max_waiting,
            on_idle=self._idle,
        )
        self._attempts = Attempts(self._lane, limits)
        self.meter = Meter()

    async def call(self, binding: Binding, arguments: Any, context: CallContext) -> ToolResult:
        """Run one call on the lane; see `Guest.call`."""
        self._instances.expect_calls()
        return await self._call(binding, arguments, context)

    async def ask(self, binding: Binding) -> Any:
        """Run a function that takes nothing and return its lifted value, on the plugin's own limits.

        Raises:
            GuestError: it trapped or reached a limit.
        """
        result = await self._call(binding, (), CallContext())
        if result.error is not None:
            raise GuestError(result.error.code, result.error.message)
        return result.output

    async def start(self) -> None:
        """Make one instance, to know that it can be made.

        Raises:
            GuestError: the component does not start within its limits.
        """
        await self._attempts.outcome(lambda _attempt: self._start())

    def obey(self, settings: Settings) -> None:
        """Hold to the grants in `settings`: host functions from their next call on, instances as they are made."""
        owner = self.owner
        owner.permissions = settings.permissions
        owner.allowlist = settings.entries.targets
        owner.secrets.readable = settings.readable_env
        surroundings = surroundings_of(settings)
        # An equal one stays the very same: a warm instance serves on after a decision about something else.
        if surroundings != owner.surroundings:
            owner.surroundings = surroundings

    def memory_bytes(self) -> int:
        """Return the linear memory of the live instances; 0 when there is none."""
        return self._instances.memory_bytes()

    def instances(self) -> int:
        """Return how many instances there are."""
        return len(self._instances)

    def abandon(self, refuse: Callable[[str], PrxError]) -> None:
        """Refuse the calls that wait and any further ones, by what `refuse` makes of a reason; those that run go on."""
        plugin = self.owner.plugin
        self._lane.abandon(lambda: refuse(f'plugin "{plugin}" is out of service; the call did not run'))

    async def aclose(self, timeout_secs: float) -> bool:
        """Let the calls that run or wait finish, then free everything; false when one outlived the timeout.

        A call that was given to this generation before another took its place may still come, and is served.
        """
        ended = await self._lane.aclose(timeout_secs)
        await asyncio.to_thread(self._instances.close)
        return ended

    async def _call(self, binding: Binding, arguments: Any, context: CallContext) -> ToolResult:
        """Run one call on the lane; cancelling this ends the guest too."""
        submitted = time.monotonic()
        call = Call(self.owner, context)
        try:
            if self.owner.surroundings.directories:
                return await self._attempt(call, binding, arguments, submitted)
            result: ToolResult = await self._lane.submit(
                lambda: self.run(call, binding, arguments, submitted)
            )
        except asyncio.CancelledError:
            self._ticker.interrupt(call)
            raise
        return result

    async def _attempt(self, call: Call, binding: Binding, arguments: Any, submitted: float) -> ToolResult:
        """Run a call that may be held up in the kernel; one that is ends as a failure and is counted now."""
        try:
            return await self._attempts.outcome(
                lambda attempt: self.run(call, binding, arguments, submitted, attempt)
            )
        except GuestError as error:
            # What it used so far is the thread's to tell.
            receipt = Receipt(None, (time.monotonic() - submitted) * 1000, 0.0, 0, 0, 0, 0, 0)
            failure = ToolFailure(error.code, error.message)
            self.meter.account(receipt, failure)
            return ToolResult(None, failure, receipt)

    def _make(self, call: Call) -> Instance:
        return Instance(self._code, call)

    def _start(self) -> None:
        with self._timed(Call(self.owner, CallContext())) as call:
            self._make(call).close()

    @contextmanager
    def _timed(self, call: Call) -> Iterator[Call]:
        """Let the time of `call` run for the length of the block."""
        self._ticker.begin(call)
        try:
            call.begin()
            yield call
        finally:
            self._ticker.end(call)

    def _idle(self, asleep: bool) -> None:  # noqa: FBT001  # the shape that the lane calls
        with self._timed(Call(self.owner, CallContext())) as call:
            self._instances.idle(call, asleep=asleep)
        if asleep:
            self._code.rest()

    def run(
        self, call: Call, binding: Binding, arguments: Any, submitted: float, attempt: Attempt | None = None
    ) -> ToolResult:
        """Run `call` on this thread; whatever the guest does is a result, never an exception.

        `submitted` is when it was asked for, on the monotonic clock. A call whose `attempt` was given up is not
        counted: it was then.

        Raises:
            BadRequestError: the arguments do not fit the function's types; nothing ran.
        """
        memory = Borrowed()
        lowered = binding.lower(arguments, memory)
        output: Any = None
        failure: ToolFailure | None = None
        size, freeing_little = 0, False
        self._ticker.begin(call)
        try:
            call.begin()
            instance = self._instances.take(call)
            try:
                _, first, second, third = instance.invoke(binding.function, lowered, call)
                try:
                    if call.ended >= call.deadline:
                        # A sleep that the host cut short ends here, perhaps before the engine's clock ticks again.
                        raise stopped(call)
                    size = binding.measure(first, second, third) if binding.measure is not None else 0
                    if size > self.limits.max_output_bytes:
                        raise too_large(size, self.limits)
                    freeing_little = size <= _LITTLE_BYTES
                    if binding.lift is not None:
                        output, failure = binding.outcome(binding.lift(first, second, third))
                finally:
                    instance.release(call, freeing_little=freeing_little)
            finally:
                self._instances.give_back(instance)
        except GuestError as error:
            failure = ToolFailure(error.code, error.message)
        finally:
            self._ticker.end(call)
        receipt = Receipt(
            call.fuel_used,
            (time.monotonic() - submitted) * 1000,
            (call.guest_secs - call.host_secs) * 1000,
            call.peak_memory_bytes,
            call.host_calls,
            call.http_requests,
            memory.size,
            size,
        )
        if attempt is None or not attempt.given_up:
            self.meter.account(receipt, failure)
        return ToolResult(output, failure, receipt)
