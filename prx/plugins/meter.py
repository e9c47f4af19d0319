"""What calls used, summed up: for one generation, and through it for its plugin over all generations."""

from dataclasses import replace
from threading import Lock
from typing import Final

from prx.core.tool import CallTotals, Receipt, ToolFailure

_UNWANTED: Final = "cancelled"
"""Nobody wants the result any more: that is no failure of the plugin."""
# One for all: every call adds to two of them, and a lock costs more than what is added.
_lock = Lock()


class Meter:
    """Adds receipts up. Called from a plugin's threads and read on the event loop."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._totals = CallTotals()
        self._whole: Meter | None = None
        self.last_error: ToolFailure | None = None

    def count_into(self, whole: "Meter") -> None:
        """Add what was and will be counted here to `whole` too."""
        whole.add(self.totals())
        self._whole = whole

    def account(self, receipt: Receipt, failure: ToolFailure | None) -> None:
        """Add one call."""
        whole = self._whole
        with _lock:
            self._account(receipt, failure)
            if whole is not None:
                whole._account(receipt, failure)  # noqa: SLF001  # one of its own kind

    def _account(self, receipt: Receipt, failure: ToolFailure | None) -> None:
        fuel, _, guest_ms, peak, host_calls, http_requests, bytes_in, bytes_out = receipt
        totals = self._totals
        totals.calls += 1
        totals.guest_ms += guest_ms
        totals.bytes_in += bytes_in
        totals.bytes_out += bytes_out
        if host_calls:
            totals.host_calls += host_calls
        if http_requests:
            totals.http_requests += http_requests
        if fuel:
            totals.fuel_used += fuel
        totals.peak_memory_bytes = max(totals.peak_memory_bytes, peak)
        if failure is not None:
            totals.errors_by_code[failure.code] = totals.errors_by_code.get(failure.code, 0) + 1
            if failure.code != _UNWANTED:
                totals.failures += 1
                self.last_error = failure

    def add(self, totals: CallTotals) -> None:
        """Add calls that were counted elsewhere."""
        with _lock:
            self._totals.add(totals)

    def totals(self) -> CallTotals:
        """Return what all calls used so far."""
        with _lock:
            return replace(self._totals, errors_by_code=dict(self._totals.errors_by_code))
