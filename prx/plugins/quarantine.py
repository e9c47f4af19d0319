"""A plugin that keeps failing is refused at once, tried again with one call after growing pauses, or released.

What counts is how the guest ended: traps, limits and timeouts. An error that a tool reports itself does not.
"""

import sqlite3
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from prx.core.errors import ConflictError
from prx.core.ids import iso_utc, now_utc
from prx.core.tool import CallContext, ToolFailure, ToolResult
from prx.plugins.worlds.binding import Binding, Guest
from prx.runtime.store import Store

_FAILURES = 5
_WINDOW_SECS = 60.0
_FIRST_PAUSE_SECS = 30.0
_LONGEST_PAUSE_SECS = 3600.0

COUNTED = frozenset({"trap", "timeout", "out_of_fuel", "out_of_memory", "stack_overflow", "output_too_large"})
"""The error codes that count as failures of the plugin."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Why and how long a plugin is in quarantine; what is remembered over a restart."""

    reason: str
    since: datetime
    until: datetime
    """When one call is let through again."""
    pauses: int
    """How many pauses there were, this one included."""


class Quarantine:
    """The gate before one plugin's calls. Used on the event loop only."""

    def __init__(
        self,
        plugin: str,
        changed: Callable[["Quarantine"], None],
        failed: Callable[["Quarantine", ToolFailure], None],
    ) -> None:
        """Let everything through.

        `changed` is told when that ends or begins again, `failed` of each failure that counts and closes nothing.
        """
        self.plugin = plugin
        self._changed = changed
        self._failed = failed
        self._failures: deque[float] = deque(maxlen=_FAILURES)
        self._probing = False
        self.sentence: Sentence | None = None

    def admit(self) -> Sentence | None:
        """Let a call through, or refuse it at once; return the sentence of which it is the probe, if it is one.

        Raises:
            ConflictError: the plugin is in quarantine, and it is not time for a probe or one is under way.
        """
        sentence = self.sentence
        if sentence is None:
            return None
        if self._probing or now_utc() < sentence.until:
            raise ConflictError(
                f'plugin "{self.plugin}" is in quarantine until {iso_utc(sentence.until)}: {sentence.reason}; '
                f"`prx plugin release {self.plugin}` ends it now"
            )
        self._probing = True
        return sentence

    def settle(self, probed: Sentence | None, failure: ToolFailure | None) -> None:
        """Count how a call ended that was admitted as a probe of `probed`, or before there was a sentence.

        `failure` is `None` for one that did not fail.
        """
        is_probe = self._is_probe(probed)
        if failure is not None and failure.code in COUNTED:
            self._count(failure, is_probe=is_probe)
        elif is_probe:
            self.release()

    def abandon(self, probed: Sentence | None) -> None:
        """Forget a call that was admitted and never ran."""
        if self._is_probe(probed):
            self._probing = False

    def release(self) -> None:
        """Let everything through again."""
        self._failures.clear()
        self._probing = False
        if self.sentence is not None:
            self.sentence = None
            self._changed(self)

    def restore(self, sentence: Sentence | None) -> None:
        """Go on with what was remembered over a restart."""
        self.sentence = sentence

    def _is_probe(self, probed: Sentence | None) -> bool:
        # A call that began before the quarantine, or in an earlier pause of it, says nothing about the plugin by now.
        return probed is not None and probed is self.sentence

    def _count(self, failure: ToolFailure, *, is_probe: bool) -> None:
        if is_probe:
            self._probing = False
            self._sentence(f"the probe failed too: {failure.message}")
        elif self.sentence is None:
            now = time.monotonic()
            self._failures.append(now)
            if len(self._failures) == _FAILURES and now - self._failures[0] <= _WINDOW_SECS:
                self._sentence(
                    f"{_FAILURES} calls failed within {_WINDOW_SECS:.0f} s, the last one: {failure.message}"
                )
            else:
                self._failed(self, failure)

    def _sentence(self, reason: str) -> None:
        pauses = self.sentence.pauses + 1 if self.sentence is not None else 1
        since = self.sentence.since if self.sentence is not None else now_utc()
        pause = min(_FIRST_PAUSE_SECS * 2 ** (pauses - 1), _LONGEST_PAUSE_SECS)
        self.sentence = Sentence(reason, since, now_utc() + timedelta(seconds=pause), pauses)
        self._failures.clear()
        self._changed(self)


class Gated:
    """A generation behind its plugin's quarantine; see `Guest`."""

    __slots__ = ("_gate", "_guest")

    def __init__(self, guest: Guest, gate: Quarantine) -> None:
        """Ask `gate` before each call of `guest`."""
        self._guest = guest
        self._gate = gate

    async def call(self, binding: Binding, arguments: Any, context: CallContext) -> ToolResult:
        """See `Guest.call`."""
        probed = self._gate.admit()
        try:
            result = await self._guest.call(binding, arguments, context)
        except BaseException:
            self._gate.abandon(probed)
            raise
        self._gate.settle(probed, result.error)
        return result


class Sentences:
    """What the store remembers of quarantines."""

    def __init__(self, store: Store) -> None:
        """Know nothing until `load`."""
        self._store = store
        self._known: dict[str, Sentence] = {}
        self._unsaved: dict[str, Sentence | None] = {}

    async def load(self) -> None:
        """Read what was remembered."""

        def job(db: sqlite3.Connection) -> dict[str, Sentence]:
            rows = db.execute("SELECT plugin, reason, since, until, pauses FROM plugin_quarantine")
            return {
                plugin: Sentence(reason, datetime.fromisoformat(since), datetime.fromisoformat(until), pauses)
                for plugin, reason, since, until, pauses in rows
            }

        self._known = await self._store.run(job)

    def of(self, plugin: str) -> Sentence | None:
        """Return the sentence of `plugin`."""
        return self._known.get(plugin)

    def note(self, plugin: str, sentence: Sentence | None) -> None:
        """Remember `sentence`, or that there is none any more; on disk after `save`."""
        self._known.pop(plugin, None)
        if sentence is not None:
            self._known[plugin] = sentence
        self._unsaved[plugin] = sentence

    async def save(self) -> None:
        """Write what changed.

        Raises:
            UnavailableError: the store cannot be written; the next call tries again.
        """
        unsaved, self._unsaved = self._unsaved, {}
        if not unsaved:
            return

        def job(db: sqlite3.Connection) -> None:
            for plugin, sentence in unsaved.items():
                db.execute("DELETE FROM plugin_quarantine WHERE plugin = ?", (plugin,))
                if sentence is not None:
                    since, until = iso_utc(sentence.since), iso_utc(sentence.until)
                    db.execute(
                        "INSERT INTO plugin_quarantine (plugin, reason, since, until, pauses) "
                        "VALUES (?, ?, ?, ?, ?)",
                        (plugin, sentence.reason, since, until, sentence.pauses),
                    )

        try:
            await self._store.run(job)
        except BaseException:
            self._unsaved = unsaved | self._unsaved
            raise

    def forget(self, plugin: str) -> None:
        """Know nothing of `plugin` any more; see `prx.plugins.forgetting` for the store."""
        self._known.pop(plugin, None)
        self._unsaved.pop(plugin, None)
