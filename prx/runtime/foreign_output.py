"""What somebody else's program says, as log lines under a module of its own: bounded in length and rate."""

import threading
import time
from typing import Final

from prx.runtime.logging import get_logger

_BURST: Final = 200
_PER_SEC: Final = 100.0
_MAX_MESSAGE: Final = 8 * 1024

LEVELS: Final = ("trace", "debug", "info", "warn", "error")


class ForeignOutput:
    """The log of one speaker. One that floods it loses lines, and the log says how many."""

    def __init__(self, speaker: str, module: str, **context: object) -> None:
        """Log as `module`, each line with `context`; `speaker` is the word for it, such as "the plugin"."""
        log = get_logger(module).bind(**context)
        self._log = log
        self._write = dict(zip(LEVELS, (log.trace, log.debug, log.info, log.warning, log.error), strict=True))
        self._speaker = speaker
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
            self._log.warning(f"{self._speaker} logs too fast; lines were dropped", dropped=dropped)
        text = message if len(message) <= _MAX_MESSAGE else message[:_MAX_MESSAGE] + "..."
        self._write[level](text)

    def _allowed(self) -> bool:
        now = time.monotonic()
        self._allowance = min(_BURST, self._allowance + (now - self._refilled) * _PER_SEC)
        self._refilled = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True
