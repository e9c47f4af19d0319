"""What a guest says, as log lines of its plugin: through `prx:host/log`, stdout or stderr, at a bounded rate."""

import threading
import time

from prx.runtime.logging import get_logger

_BURST = 200
_PER_SEC = 100.0
_MAX_MESSAGE = 8 * 1024

LEVELS = ("trace", "debug", "info", "warn", "error")


class GuestOutput:
    """The log of one plugin. A guest that floods it loses lines, and the log says how many."""

    def __init__(self, plugin: str) -> None:
        """Log as the module `plugin::<name>`."""
        log = get_logger(f"plugin::{plugin.replace('-', '_')}")
        self._log = log
        self._write = dict(zip(LEVELS, (log.trace, log.debug, log.info, log.warning, log.error), strict=True))
        self._plugin = plugin
        self._lock = threading.Lock()
        self._allowance = float(_BURST)
        self._refilled = time.monotonic()
        self._dropped = 0

    def write(self, level: str, message: str) -> None:
        """Write one line at one of `LEVELS`; long ones are cut."""
        with self._lock:
            if not self._allowed():
                self._dropped += 1
                return
            dropped, self._dropped = self._dropped, 0
        if dropped:
            self._log.warning(
                "the plugin logs too fast; lines were dropped", plugin=self._plugin, dropped=dropped
            )
        text = message if len(message) <= _MAX_MESSAGE else message[:_MAX_MESSAGE] + "..."
        self._write[level](text, plugin=self._plugin)

    def stdout(self, line: bytes) -> None:
        """Write a line that the guest printed."""
        self.write("info", line.decode("utf-8", "replace"))

    def stderr(self, line: bytes) -> None:
        """Write a line that the guest printed as an error."""
        if line.strip():
            self.write("warn", line.decode("utf-8", "replace"))

    def _allowed(self) -> bool:
        now = time.monotonic()
        self._allowance = min(_BURST, self._allowance + (now - self._refilled) * _PER_SEC)
        self._refilled = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True
