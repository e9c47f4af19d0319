"""How a plugin comes into service and goes: build a generation beside what runs, swap, let the old one end."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from prx.config.schema import PluginsConfig
from prx.core.errors import ConflictError, UnavailableError
from prx.core.tool import CallTotals
from prx.plugins import sources
from prx.plugins.blobs import Copy
from prx.plugins.errors import LoadError, MissingPermissionError, SupersededError
from prx.plugins.gates import Gates
from prx.plugins.generations import Generations
from prx.plugins.holders import Holders, taken
from prx.plugins.kept import Kept
from prx.plugins.loader import Loaded, Loader
from prx.plugins.plugin import Plugin
from prx.plugins.quarantine import Sentences
from prx.plugins.sources import Contents, Source
from prx.runtime.bus import Bus
from prx.runtime.logging import get_logger
from prx.runtime.tasks import Tasks

# Operators know it as the catalogue's: which of its modules does the work is of no use to them.
log = get_logger("plugins::catalogue")

_Read = Callable[[Copy], Awaitable[tuple[Contents, bytes]]]
_Note = Callable[[Plugin, Contents], None]


class Activation:
    """Loads, swaps and unloads the plugins of one catalogue."""

    def __init__(
        self,
        config: Callable[[], PluginsConfig],
        plugins: Mapping[str, Plugin],
        generations: Generations,
        holders: Holders,
        sentences: Sentences,
        bus: Bus,
        tasks: Tasks,
        progress: asyncio.Event,
    ) -> None:
        """Act on `plugins`, which the catalogue keeps; `progress` is set whenever a load ends."""
        self._config = config
        self._plugins = plugins
        self._generations = generations
        self._holders = holders
        self._bus = bus
        self._tasks = tasks
        self._progress = progress
        self._sentences = sentences
        self._afresh: set[str] = set()
        self._loader: Loader | None = None
        self.gates = Gates(plugins, generations, sentences, bus, tasks, self._roll_back_by_itself)

    @property
    def loader(self) -> Loader:
        """What builds generations, for as long as the catalogue runs.

        Raises:
            UnavailableError: it does not run now.
        """
        if self._loader is None:
            raise UnavailableError("the plugins are being started; try again")
        return self._loader

    @loader.setter
    def loader(self, loader: Loader | None) -> None:
        self._loader = loader

    async def load(self, plugin: Plugin, *, afresh: bool = False) -> bool:
        """Load what the plugin's directory holds; false when what ran before, if anything, still runs.

        What was rolled back is passed over for what it was rolled back to, unless it is to be tried `afresh`.
        """
        source = plugin.source
        afresh = afresh or plugin.name in self._afresh
        self._afresh.discard(plugin.name)

        def wanted() -> bool:
            return self._is_current(plugin, source)

        def read(copy: Copy) -> Awaitable[tuple[Contents, bytes]]:
            return self._read(plugin, source, copy, afresh=afresh)

        plugin.loading = True
        try:
            await self._bring(plugin, read, wanted, self._note_loaded, afresh=afresh)
        except SupersededError:
            return True
        except (LoadError, ConflictError) as error:
            if wanted():
                await self._fall_back(plugin, wanted)
                self._note_failure(plugin, error)
            return False
        finally:
            if plugin.source is source:  # otherwise a newer load is under way
                plugin.loading = plugin.compiling = False
            self._progress.set()
        return True

    def expect(self, name: str) -> None:
        """Have the next load of `name` try what its directory holds, rolled back or not: an operator put it there."""
        self._afresh.add(name)

    async def roll_back(self, plugin: Plugin, goal: Kept, reason: str, *, automatic: bool = False) -> None:
        """Step from what runs to a kept generation; it lasts until what the directory holds changes.

        Raises:
            LoadError: that generation does not load; what ran before still runs.
            SupersededError: what runs was changed meanwhile.
            ConflictError: the name of one of its tools is taken.
        """
        left = plugin.number

        def wanted() -> bool:
            return (
                self._plugins.get(plugin.name) is plugin
                and plugin.number == left
                and not plugin.doubled
                and not plugin.disabled
            )

        def read(copy: Copy) -> Awaitable[tuple[Contents, bytes]]:
            return self._read_kept(plugin, goal, copy)

        def note(plugin: Plugin, _contents: Contents) -> None:
            self._generations.rolled_back(plugin.name, goal, plugin.found, reason, automatic=automatic)

        await self._bring(plugin, read, wanted, note, afresh=True)
        await self._save()
        log.warning("plugin rolled back", plugin=plugin.name, left=left, goal=goal.number, reason=reason)

    def unload(self, plugin: Plugin) -> None:
        """Take a plugin out of service whose files are gone, or not its own any more."""
        loaded = plugin.remove()
        if loaded is not None:
            log.info("plugin unloaded", plugin=plugin.name)
            self._publish("unloaded", plugin)
            # Nothing comes in its place that those who wait could be served by.
            loaded.generation.abandon(ConflictError)
            self._retire(loaded)
        self._retry_blocked()

    async def _bring(
        self, plugin: Plugin, read: _Read, wanted: Callable[[], bool], note: _Note, *, afresh: bool
    ) -> None:
        """Build what `read` gives and swap it in; `note` tells the generations of it in the same step."""
        swapped = False
        with self._generations.copying() as copy:
            try:
                loaded = await self.loader.load(*await read(copy), self._config(), plugin, wanted)
                try:
                    async with plugin.changing:
                        self._check_wanted(plugin, loaded, wanted, afresh=afresh)
                        previous = self._swap(plugin, loaded, note)
                except BaseException:
                    self._retire(loaded)
                    raise
                swapped = True
            finally:
                if copy.is_new or self._generations.unsaved:
                    self._tasks.start(self._keep(plugin, copy, swapped=swapped))
        if previous is not None:
            self._retire(previous)
            self._retry_blocked()
        tools = loaded.bound.tool_names()
        self._tasks.start(self._holders.record(plugin.name, tools))
        log.info("plugin loaded", plugin=plugin.name, version=plugin.version, tools=len(tools))
        self._publish("loaded", plugin, version=plugin.version, tools=tools)

    def _swap(self, plugin: Plugin, loaded: Loaded, note: _Note) -> Loaded | None:
        self.loader.regrant(loaded, self._config())
        self._holders.check(plugin.name, loaded.bound.tool_names(), self._plugins.keys())
        live = self._generations.live(plugin.name)
        is_new = live is not None and live.identity != loaded.contents.identity
        left = plugin.gate
        # What a version did before is not held against another one.
        previous = plugin.replace(loaded, self.gates.fresh(plugin.name) if is_new else left)
        note(plugin, loaded.contents)
        live = self._generations.live(plugin.name)
        plugin.number = live.number if live is not None else 0
        plugin.rolled_back = self._generations.rollback(plugin.name)
        if plugin.rolled_back is not None:
            plugin.asked = loaded.asked  # the operator grants to what runs
        plugin.not_kept = None
        if plugin.gate is not left and left.sentence is not None:
            self.gates.opened(plugin)
        return previous

    def _check_wanted(
        self, plugin: Plugin, loaded: Loaded, wanted: Callable[[], bool], *, afresh: bool
    ) -> None:
        rollback = self._generations.rollback(plugin.name)
        passed_over = rollback is not None and rollback.passed_over == loaded.contents.identity
        if not wanted() or (passed_over and not afresh):
            raise SupersededError("something else is to run by now")

    def _note_loaded(self, plugin: Plugin, contents: Contents) -> None:
        self._generations.loaded(plugin.name, contents, plugin.found)

    async def _read(
        self, plugin: Plugin, source: Source, copy: Copy, *, afresh: bool
    ) -> tuple[Contents, bytes]:
        contents, component = await asyncio.to_thread(sources.read, source)
        plugin.read(contents, await self.loader.asked_by(contents, self._config()))
        rollback = self._generations.rollback(plugin.name)
        if rollback is not None and rollback.passed_over == contents.identity and not afresh:
            kept = self._generations.numbered(plugin.name, rollback.goal)
            if kept is None:
                raise LoadError(
                    f"generation {rollback.goal}, to which it was rolled back, is not kept any more: replace its file, "
                    f"or load it as it is with `prx plugin reload {plugin.name}`"
                )
            contents, component = await self._read_kept(plugin, kept, copy)
            plugin.asked = await self.loader.asked_by(contents, self._config())
            return contents, component
        sources.check_component(component, source.path.name)
        await copy.take(contents.digest, component)
        return contents, component

    async def _read_kept(self, plugin: Plugin, kept: Kept, copy: Copy) -> tuple[Contents, bytes]:
        contents, component = await self._generations.read(plugin.name, kept)
        await copy.take(kept.digest, component)
        return contents, component

    async def _fall_back(self, plugin: Plugin, wanted: Callable[[], bool]) -> None:
        """Serve what ran before the daemon was restarted, where what its directory holds by now does not load."""
        kept = self._generations.live(plugin.name)
        rollback = self._generations.rollback(plugin.name)
        if plugin.loaded is not None or kept is None or kept.identity == plugin.found:
            return
        if rollback is not None and rollback.passed_over == plugin.found:
            return  # it was the kept one that did not load

        def read(copy: Copy) -> Awaitable[tuple[Contents, bytes]]:
            return self._read_kept(plugin, kept, copy)

        try:
            await self._bring(plugin, read, wanted, self._note_loaded, afresh=True)
        except (LoadError, ConflictError) as error:
            log.warning(
                "the version that ran before does not load either", plugin=plugin.name, reason=error.message
            )

    async def _keep(self, plugin: Plugin, copy: Copy, *, swapped: bool) -> None:
        """See that what was loaded is on disk; a disk that refuses is told on the plugin and stops nothing."""
        try:
            await copy.written()
        except OSError as error:
            if swapped:
                plugin.not_kept = f"it cannot be kept for a step back: {error.strerror}"
            log.warning("plugin is not kept", plugin=plugin.name, reason=error.strerror)
        await self._save()

    async def _save(self) -> None:
        try:
            await self._sentences.save()
            await self._generations.save()
        except UnavailableError as error:  # `/status` says so, and the catalogue tries again
            log.warning("what happened to plugins cannot be written", reason=error.message)

    async def _roll_back_by_itself(self, plugin: Plugin, goal: Kept, reason: str) -> None:
        left = plugin.number
        said = f"generation {left} was rolled back to generation {goal.number}: {reason}"
        await self.roll_back(plugin, goal, said, automatic=True)
        self._publish("error", plugin, reason=said, **{"from": left, "to": goal.number})

    def _is_current(self, plugin: Plugin, source: Source) -> bool:
        """Tell whether `source` is still what `plugin` should be: its files may have changed or gone meanwhile."""
        return self._plugins.get(plugin.name) is plugin and plugin.source is source and not plugin.doubled

    def _note_failure(self, plugin: Plugin, error: LoadError | ConflictError) -> None:
        details = error.details or {}
        reason = error.message
        if "holder" in details:
            reason = taken(details["tool"], details["holder"], plugin.name)
        plugin.failed(
            reason,
            waits_for_grant=isinstance(error, MissingPermissionError),
            waits_for_name=isinstance(error, ConflictError),
        )
        self._publish("error", plugin, reason=reason)
        log.warning(
            "plugin did not load", plugin=plugin.name, reason=reason, still_serving=plugin.loaded is not None
        )

    def _retry_blocked(self) -> None:
        """Names of tools may have come free: load those that wait for one."""
        for plugin in self._plugins.values():
            if plugin.waits_for_name and not plugin.loading:
                self._tasks.start(self.load(plugin))

    def _retire(self, loaded: Loaded) -> None:
        """Let the calls of a generation that was replaced finish; those that have are counted as of now."""
        counted = loaded.generation.meter.totals()
        self._generations.count(loaded.contents, counted.calls, counted.failures)
        self._tasks.start(self._end(loaded, counted))

    async def _end(self, loaded: Loaded, counted: CallTotals) -> None:
        """Wait for the calls that a generation still has, each within its own limit."""
        if not await self.loader.retire(loaded.generation, loaded.settings.limits.longest_secs + 1):
            log.warning("a call outlived its plugin", plugin=loaded.contents.name)
        totals = loaded.generation.meter.totals()
        self._generations.count(
            loaded.contents, totals.calls - counted.calls, totals.failures - counted.failures
        )

    def _publish(self, what: str, plugin: Plugin, **facts: object) -> None:
        self._bus.publish(f"prx.plugin.{what}", {"plugin": plugin.name, **facts})
