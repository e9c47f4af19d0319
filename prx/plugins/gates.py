"""What follows from calls that fail: a new version gives way to the one before it, or there is a quarantine."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from prx.core.errors import PrxError
from prx.core.ids import iso_utc, now_utc
from prx.core.tool import CallTotals, ToolFailure
from prx.plugins.generations import Generations
from prx.plugins.kept import Kept
from prx.plugins.plugin import Plugin
from prx.plugins.quarantine import COUNTED, Quarantine, Sentence, Sentences
from prx.runtime.bus import Bus
from prx.runtime.logging import get_logger
from prx.runtime.tasks import Tasks

log = get_logger("plugins::catalogue")

_PROBATION = timedelta(minutes=5)
_FAILURES = 5
_SHARE = 0.5


class Gates:
    """Makes the gates before plugins' calls and acts on what they tell."""

    def __init__(
        self,
        plugins: Mapping[str, Plugin],
        generations: Generations,
        sentences: Sentences,
        bus: Bus,
        tasks: Tasks,
        roll_back: Callable[[Plugin, Kept, str], Awaitable[None]],
    ) -> None:
        """Act on `plugins`; `roll_back` steps back to a generation for a reason, or raises why it does not."""
        self._plugins = plugins
        self._generations = generations
        self._sentences = sentences
        self._bus = bus
        self._tasks = tasks
        self._roll_back = roll_back

    def restored(self, name: str) -> Quarantine:
        """Return the gate of a plugin that is new here, with the sentence that is remembered of it."""
        gate = self.fresh(name)
        gate.restore(self._sentences.of(name))
        return gate

    def fresh(self, name: str) -> Quarantine:
        """Return a gate for a new version, which the calls of the one before it do not count against."""
        return Quarantine(name, self._changed, self._failed)

    def opened(self, plugin: Plugin) -> None:
        """Remember that a new version ended the quarantine of `plugin`."""
        self._changed(plugin.gate)

    def _failed(self, gate: Quarantine, failure: ToolFailure) -> None:
        plugin = self._behind(gate)
        if plugin is None or plugin.loaded is None or (goal := self._goal(plugin)) is None:
            return
        reason = verdict(plugin.loaded.generation.meter.totals(), failure)
        if reason is not None:
            self._tasks.start(self._give_way(plugin, goal, reason, None))

    def _changed(self, gate: Quarantine) -> None:
        plugin = self._behind(gate)
        if plugin is None:
            return
        sentence = gate.sentence
        self._sentences.note(plugin.name, sentence)
        self._tasks.start(self._sentences.save())
        if sentence is None:
            log.info("plugin released from quarantine", plugin=plugin.name)
        elif (goal := self._goal(plugin)) is not None:
            self._tasks.start(self._give_way(plugin, goal, sentence.reason, sentence))
        else:
            self._tell(plugin, sentence)

    def _behind(self, gate: Quarantine) -> Plugin | None:
        """Return whose gate it is; `None` for a call that began before its plugin was removed or got a new version."""
        plugin = self._plugins.get(gate.plugin)
        return plugin if plugin is not None and plugin.gate is gate else None

    def _goal(self, plugin: Plugin) -> Kept | None:
        """Return what a failing version of `plugin` gives way to; `None` when it is not on probation."""
        live = self._generations.live(plugin.name)
        if live is None or live.before is None or now_utc() - live.loaded_at > _PROBATION:
            return None
        return self._generations.numbered(plugin.name, live.before)

    async def _give_way(self, plugin: Plugin, goal: Kept, reason: str, sentence: Sentence | None) -> None:
        live = self._generations.live(plugin.name)
        if live is None or live.before != goal.number:
            return  # another of its calls was first
        live.before = None  # there is one attempt
        try:
            await self._roll_back(plugin, goal, reason)
        except PrxError as error:
            log.warning("plugin is not rolled back", plugin=plugin.name, to=goal.number, reason=error.message)
            if sentence is not None and plugin.gate.sentence is sentence:
                self._tell(plugin, sentence)

    def _tell(self, plugin: Plugin, sentence: Sentence) -> None:
        until = iso_utc(sentence.until)
        log.warning("plugin quarantined", plugin=plugin.name, reason=sentence.reason, until=until)
        self._bus.publish("prx.plugin.quarantined", {"plugin": plugin.name, "reason": sentence.reason})


def verdict(totals: CallTotals, last: ToolFailure) -> str | None:
    """Say why the calls of a version on probation condemn it, or `None` while they do not."""
    failures = sum(times for code, times in totals.errors_by_code.items() if code in COUNTED)
    if failures < _FAILURES or failures < _SHARE * totals.calls:
        return None
    return f"{failures} of its first {totals.calls} calls failed, the last one: {last.message}"
