"""What the engine asks when a store's deadline has come: whether its guest goes on.

A deadline in ticks is where the host looks, not where the guest ends: it comes too early when somebody else's call is
ended (`Ticker.interrupt`), and the clock may be late. Whether the time is over is told by the wall clock.
"""

from ctypes import c_uint64

from prx.plugins.abi import ffi
from prx.plugins.calls import current
from prx.plugins.engine import ticks
from prx.plugins.faults import stopped


@ffi.deadline_callback
def look(_context: int, _data: int, next_ticks: int, _kind: int) -> int:
    """End the call that runs on this thread, or tell after how many ticks to ask again. It raises nothing."""
    call = current.call
    left = call.remaining_secs()
    if call.interrupted or not left:
        call.failure = stopped(call)
        return ffi.error_new(b"stopped by the host")  # type: ignore[no-any-return]  # a C function
    c_uint64.from_address(next_ticks).value = ticks(left)
    return 0
