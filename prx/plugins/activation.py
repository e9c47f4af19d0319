"""How a plugin comes into service and goes: build a generation beside what runs, swap, let the old one end."""

import asyncio
from collections.abc import Callable, Mapping

from prx.config.schema import PluginsConfig
from prx.core.errors import ConflictError
from prx.core.ids import iso_utc
from prx.plugins import sources
from prx.plugins.errors import LoadError, MissingPermissionError, SupersededError
from prx.plugins.holders import Holders, taken
from prx.plugins.loader import Loaded, Loader
from prx.plugins.plugin import Plugin
from prx.plugins.quarantine import Quarantine, Sentences
from prx.plugins.sources import Contents, Source
from prx.runtime.bus import Bus
from prx.runtime.logging import get_logger
from prx.runtime.tasks import Tasks

# Operators know it as the catalogue's: which of its modules does the work is of no use to them.
log = get_logger("plugins::catalogue")


class Activation:
    """Loads, swaps and unloads the plugins of one catalogue."""

    def __init__(
        self,
        config: Callable[[], PluginsConfig],
        plugins: Mapping[str, Plugin],
        holders: Holders,
        sentences: Sentences,
        bus: Bus,
        tasks: Tasks,
        progress: asyncio.Event,
    ) -> None:
        """Act on `plugins`, which the catalogue keeps; `progress` is set whenever a load ends."""
        self._config = config
        self._plugins = plugins
        self._holders = holders
        self._sentences = sentences
        self._bus = bus
        self._tasks = tasks
        self._progress = progress
        self._loader: Loader | None = None

    @property
    def loader(self) -> Loader:
        """What builds generations; set for as long as the catalogue runs."""
        assert self._loader is not None  # noqa: S101  # see above
        return self._loader

    @loader.setter
    def loader(self, loader: Loader) -> None:
        self._loader = loader

    def gate_of(self, name: str) -> Quarantine:
        """Return the gate of a plugin that is new here, with the sentence that is remembered of it."""
        gate = Quarantine(name, lambda: self._gate_changed(name))
        gate.restore(self._sentences.of(name))
        return gate

    async def load(self, plugin: Plugin) -> bool:
        """Build a generation and swap it in; false when what ran before, if anything, still runs."""
        source = plugin.source
        plugin.loading = True
        loaded = None
        try:
            loaded = await self.loader.load(
                *await self._read(plugin, source),
                self._config(),
                plugin,
                wanted=lambda: self._is_current(plugin, source),
            )
            async with plugin.changing:
                if not self._is_current(plugin, source):
                    self._tasks.start(self._retire(loaded))
                    return True
                self.loader.regrant(loaded, self._config())
                tools = loaded.bound.tool_names()
                self._holders.check(plugin.name, tools, self._plugins.keys())
                previous = plugin.replace(loaded)
        except SupersededError:
            return True
        except (LoadError, ConflictError) as error:
            if self._is_current(plugin, source):
                self._note_failure(plugin, error)
            if loaded is not None:
                self._tasks.start(self._retire(loaded))
            return False
        finally:
            if plugin.source is source:  # otherwise a newer load is under way
                plugin.loading = plugin.compiling = False
            self._progress.set()
        if previous is not None:
            if previous.contents.digest != loaded.contents.digest:
                plugin.gate.release()
            self._tasks.start(self._retire(previous))
            self._retry_blocked()
        self._tasks.start(self._holders.record(plugin.name, tools))
        log.info("plugin loaded", plugin=plugin.name, version=plugin.version, tools=len(tools))
        self._publish("loaded", plugin, version=plugin.version, tools=tools)
        return True

    def unload(self, plugin: Plugin) -> None:
        """Take a plugin out of service whose files are gone, or not its own any more."""
        loaded = plugin.remove()
        if loaded is not None:
            log.info("plugin unloaded", plugin=plugin.name)
            self._publish("unloaded", plugin)
            self._tasks.start(self._retire(loaded))
        self._retry_blocked()

    async def _read(self, plugin: Plugin, source: Source) -> tuple[Contents, bytes]:
        contents, component = await asyncio.to_thread(sources.read, source)
        plugin.read(contents, await self.loader.asked_by(contents, self._config()))
        sources.check_component(component, source.path.name)
        return contents, component

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

    async def _retire(self, loaded: Loaded) -> None:
        """Let the calls of a generation that was replaced finish, each within its own limit."""
        if not await self.loader.retire(loaded.generation, loaded.settings.limits.longest_secs + 1):
            log.warning("a call outlived its plugin", plugin=loaded.contents.name)

    def _gate_changed(self, name: str) -> None:
        plugin = self._plugins.get(name)
        if plugin is None:
            return  # a call that began before its plugin was removed
        sentence = plugin.gate.sentence
        self._tasks.start(self._sentences.save(name, sentence))
        if sentence is None:
            log.info("plugin released from quarantine", plugin=name)
            return
        log.warning("plugin quarantined", plugin=name, reason=sentence.reason, until=iso_utc(sentence.until))
        self._publish("quarantined", plugin, reason=sentence.reason)

    def _publish(self, what: str, plugin: Plugin, **facts: object) -> None:
        self._bus.publish(f"prx.plugin.{what}", {"plugin": plugin.name, **facts})
