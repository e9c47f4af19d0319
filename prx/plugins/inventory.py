"""What lies in the plugins directory, as a list of plugins that is kept equal to it."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from prx.config.schema import PluginsConfig
from prx.core.ids import now_utc
from prx.core.unit import Problem
from prx.plugins.activation import Activation
from prx.plugins.feed import Feed
from prx.plugins.offer import Offer
from prx.plugins.plugin import Plugin
from prx.plugins.sources import Names, Source, is_unfinished
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.logging import get_logger
from prx.runtime.switches import Switches
from prx.runtime.tasks import Tasks

# Operators know it as the catalogue's: which of its modules does the work is of no use to them.
log = get_logger("plugins::catalogue")

_UNFINISHED_SECS = 1.0


class Inventory:
    """Adds to the catalogue's plugins what is found, has it loaded, and takes away what is gone."""

    def __init__(
        self,
        config: Callable[[], PluginsConfig],
        plugins: dict[str, Plugin],
        points: ExtensionPoints,
        switches: Switches,
        activation: Activation,
        tasks: Tasks,
        progress: asyncio.Event,
    ) -> None:
        """Keep `plugins` equal to the directory of `config`; loads are among `tasks` and set `progress`."""
        self._config = config
        self._plugins = plugins
        self._points = points
        self._switches = switches
        self._activation = activation
        self._tasks = tasks
        self._progress = progress
        self._names = Names()
        self.moving = asyncio.Lock()
        """Held while files move: who lists the directory meanwhile may see two of a plugin, or none."""
        self.problem: Problem | None = None
        """Why the directory cannot be looked at."""

    async def reconcile(self, *, patient: bool = True) -> None:
        """Make the list equal to the directory: new and changed sources load, missing ones unload.

        What looks unfinished gets a second to become whole, where there is reason to be `patient`.
        """
        # One at a time, or an older look could undo what a newer one saw; and never while files move.
        async with self.moving:
            directory = self._config().directory
            try:
                found = await asyncio.to_thread(self._names.by_name, directory)
            except OSError as error:
                self._note_unreadable(directory, error)
                return
            self.problem = None
            for name in self._plugins.keys() - found.keys():
                self._activation.unload(self._plugins.pop(name))
            for name, same_name in found.items():
                self._apply(name, same_name, patient=patient)

    def _apply(self, name: str, same_name: Sequence[Source], *, patient: bool) -> None:
        source, rivals = same_name[0], tuple(source.path for source in same_name[1:])
        plugin = self._plugins.get(name)
        if plugin is None:
            plugin = self._plugins[name] = self._new(name, source)
        elif plugin.source == source and plugin.rivals == rivals:
            return
        plugin.source, plugin.rivals = source, rivals
        if rivals:
            paths = " and ".join(str(source.path) for source in same_name)
            plugin.loading = False
            plugin.failed(f'two plugins are named "{name}": {paths}; remove or rename one')
            self._activation.unload(plugin)
        else:
            plugin.loading = True
            self._tasks.start(self._load(plugin, source, patient=patient))

    def _new(self, name: str, source: Source) -> Plugin:
        feed = Feed(name, self._points.bus, self._tasks)
        offer = Offer(name, self._points, feed)
        gate = self._activation.gates.restored(name)
        disabled = self._switches.disabled(name)
        return Plugin(name, source, offer, feed, gate, self._progress, disabled=disabled)

    async def _load(self, plugin: Plugin, source: Source, *, patient: bool) -> None:
        if patient and await asyncio.to_thread(is_unfinished, source):
            # Each further write is a newer source with its own task; what stays cut short is told as it is.
            await asyncio.sleep(_UNFINISHED_SECS)
        if plugin.source is source:
            await self._activation.load(plugin)

    def _note_unreadable(self, directory: Path, error: OSError) -> None:
        reason = f"{directory} cannot be read: {error.strerror}"
        if self.problem is None or self.problem.reason != reason:
            log.warning("the plugins directory cannot be read", path=str(directory), reason=error.strerror)
            action = "create the directory, or set plugins.directory to where the plugins are"
            self.problem = Problem("plugins.catalogue", reason, now_utc(), action)
