"""`wasi:io/poll` and `wasi:clocks/monotonic-clock`: where these guests wait, never past their call's end."""

import time
from collections.abc import Callable
from typing import ClassVar, Final

from prx.plugins.abi.wit import ListType, Prim, WitType
from prx.plugins.calls import Call
from prx.plugins.faults import stopped
from prx.plugins.host.wasi.functions import U64, ResourceFunctions, WasiFunction, borrow, function, own
from prx.plugins.host.wasi.resources import Resource, misused, resources_of

POLL: Final = "wasi:io/poll"
CLOCK: Final = "wasi:clocks/monotonic-clock"
_SECOND: Final = 1_000_000_000


class Pollable(Resource):
    """Something to wait for; this one is ready at once."""

    resource: ClassVar[str] = "pollable"
    due: int | None = None
    """When it becomes ready by itself, in nanoseconds of the monotonic clock."""

    def ready(self) -> bool:
        """Tell whether there is nothing to wait for."""
        return True


class Timer(Pollable):
    """Ready from a moment on."""

    def __init__(self, due: int) -> None:
        """Be ready at `due`."""
        self.due: int = due

    def ready(self) -> bool:
        """See `Pollable.ready`."""
        return time.monotonic_ns() >= self.due


class Arrival(Pollable):
    """Ready when something has come; whoever brings it sets `Resources.woken`."""

    def __init__(self, has_come: Callable[[], bool]) -> None:
        """Ask `has_come`."""
        self._has_come = has_come

    def ready(self) -> bool:
        """See `Pollable.ready`."""
        return self._has_come()


def wait_for(call: Call, pollables: list[Pollable]) -> list[int]:
    """Return the positions of those that are ready, once one is.

    Raises:
        GuestError: the call's time is over, or nobody wants its result any more.
    """
    woken = resources_of(call).woken
    with call.waking(woken.set):
        while True:
            woken.clear()  # before looking: what comes afterwards is not missed
            if ready := [position for position, pollable in enumerate(pollables) if pollable.ready()]:
                return ready
            left = call.remaining_secs()
            if call.interrupted or not left:
                raise stopped(call)
            now = time.monotonic_ns()
            timers = [(pollable.due - now) / _SECOND for pollable in pollables if pollable.due is not None]
            woken.wait(max(0.0, min([left, *timers])))


def _poll(call: Call, pollables: list[Pollable]) -> list[int]:
    if not pollables:
        raise misused("waits for nothing: poll takes at least one pollable")
    return wait_for(call, pollables)


def _block(call: Call, pollable: Pollable) -> None:
    wait_for(call, [pollable])


def _ready(_call: Call, pollable: Pollable) -> bool:
    return pollable.ready()


def _now(_call: Call) -> int:
    return time.monotonic_ns()


def _resolution(_call: Call) -> int:
    return 1


def _subscribe_instant(_call: Call, when: int | str) -> Timer:
    return Timer(int(when))


def _subscribe_duration(_call: Call, duration: int | str) -> Timer:
    return Timer(time.monotonic_ns() + int(duration))


_pollable = ResourceFunctions(POLL, "pollable")
_WHEN: Final[dict[str, WitType]] = {"when": U64}

FUNCTIONS: Final[list[WasiFunction]] = [
    _pollable.method("ready", {}, Prim.BOOL, _ready),
    _pollable.method("block", {}, None, _block),
    function(POLL, "poll", {"in": ListType(borrow("pollable"))}, ListType(Prim.U32), _poll),
    function(CLOCK, "now", {}, U64, _now),
    function(CLOCK, "resolution", {}, U64, _resolution),
    function(CLOCK, "subscribe-instant", _WHEN, own("pollable"), _subscribe_instant),
    function(CLOCK, "subscribe-duration", _WHEN, own("pollable"), _subscribe_duration),
]
