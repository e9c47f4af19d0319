"""What calls used, summed up: for one generation, and through it for its plugin over all generations."""

from dataclasses import replace
from threading import Lock

from prx.core.tool import CallTotals, Receipt, ToolFailure


class Meter:
    """Adds receipts up. Called from a plugin's threads and read on the event loop."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._lock = Lock()
        self._totals = CallTotals()
        self._whole: Meter | None = None
        self.last_error: ToolFailure | None = None

    def count_into(self, whole: "Meter") -> None:
        """Add what was and will be counted here to `whole` too."""
        whole.add(self.totals())
        self._whole = whole

    def account(self, receipt: Receipt, failure: ToolFailure | None) -> None:
        """Add one call."""
        totals = self._totals
        with self._lock:
            totals.calls += 1
            totals.guest_ms += receipt.guest_ms
            totals.host_calls += receipt.host_calls
            totals.http_requests += receipt.http_requests
            totals.bytes_in += receipt.bytes_in
            totals.bytes_out += receipt.bytes_out
            totals.fuel_used += receipt.fuel_used or 0
            totals.peak_memory_bytes = max(totals.peak_memory_bytes, receipt.peak_memory_bytes)
            if failure is not None:
                totals.failures += 1
                totals.errors_by_code[failure.code] = totals.errors_by_code.get(failure.code, 0) + 1
                self.last_error = failure
        if self._whole is not None:
            self._whole.account(receipt, failure)

    def add(self, totals: CallTotals) -> None:
        """Add calls that were counted elsewhere."""
        with self._lock:
            self._totals.add(totals)

    def totals(self) -> CallTotals:
        """Return what all calls used so far."""
        with self._lock:
            return replace(self._totals, errors_by_code=dict(self._totals.errors_by_code))
