"""The plugins, from their start to their end, and what operators do to them: a unit."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from prx.config.schema import PluginsConfig
from prx.core.errors import ConflictError, NotFoundError, PrxError, UnavailableError
from prx.core.metric import Metric
from prx.core.unit import Problem
from prx.plugins.abi.ffi import check_layout
from prx.plugins.activation import Activation
from prx.plugins.blobs import Blobs
from prx.plugins.cache import Cache
from prx.plugins.compiler import Compiler
from prx.plugins.errors import LoadError, SupersededError
from prx.plugins.forgetting import forget
from prx.plugins.generations import Generations
from prx.plugins.grants import Grants, check_decisions
from prx.plugins.grants_view import grants_shown
from prx.plugins.holders import Holders
from prx.plugins.host.http import HttpOutbound
from prx.plugins.host.interfaces import HostServices, host_functions
from prx.plugins.installer import Installer, Part
from prx.plugins.inventory import Inventory
from prx.plugins.loader import Loader
from prx.plugins.metrics import plugin_metrics
from prx.plugins.plugin import Plugin
from prx.plugins.quarantine import Sentences
from prx.plugins.reconfiguration import Reconfiguration
from prx.plugins.secrets import SecretStore
from prx.plugins.summary import Summaries, Summary
from prx.plugins.versions import versions_shown
from prx.plugins.watcher import changes
from prx.runtime.egress.client import EgressClient
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.logging import get_logger
from prx.runtime.switches import Switches
from prx.runtime.tasks import Tasks

__all__ = ["Catalogue", "Plugin"]

log = get_logger("plugins::catalogue")


class Catalogue:
    """Every plugin by name. Nothing that a file in the directory is or does stops it or a sibling."""

    name = "plugins.catalogue"

    def __init__(
        self,
        config: Callable[[], PluginsConfig],
        data_dir: Path,
        points: ExtensionPoints,
        services: HostServices,
    ) -> None:
        """Touch nothing yet; `config` is asked whenever a plugin is loaded."""
        self._config = config
        self._data_dir = data_dir
        self._services = services
        self._holders = Holders(services.store)
        self._switches = Switches(services.store, "plugin_state")
        self._grants = Grants(services.store)
        self._sentences = Sentences(services.store)
        self._plugins: dict[str, Plugin] = {}
        self._look_again = asyncio.Event()
        self._progress = asyncio.Event()
        self._summaries = Summaries(self._plugins)
        self._tasks = Tasks(log, self._note_progress)
        self._generations = Generations(
            services.store, Blobs(data_dir / "generations"), lambda: config().keep_generations
        )
        self._activation = Activation(
            config,
            self._plugins,
            self._generations,
            self._holders,
            self._sentences,
            services.bus,
            self._tasks,
            self._progress,
        )
        self._inventory = Inventory(
            config, self._plugins, points, self._switches, self._activation, self._tasks, self._progress
        )
        self._installer = Installer(
            config, self._plugins, self._activation, self._inventory, self._forget, self._progress
        )
        self._reconfiguration = Reconfiguration(
            config,
            self._plugins,
            self._grants,
            self._generations,
            self._activation,
            self._tasks,
            self._progress,
        )
        self._serving = False

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`. Serves once what is in the cache is loaded; the rest compiles meanwhile."""
        check_layout()
        cache = await asyncio.to_thread(Cache, self._data_dir / "cache")
        loop = asyncio.get_running_loop()
        client = EgressClient()
        http = HttpOutbound(loop, client, lambda: self._config().allow_private_targets)
        functions = host_functions(self._services, http, loop)
        secrets = SecretStore(self._data_dir)
        loader = Loader(Compiler(cache), functions, self._grants, secrets, loop, self._data_dir)
        self._activation.loader = loader
        try:
            await self._holders.load()
            await self._switches.load()
            await self._grants.load()
            await self._sentences.load()
            await self._generations.load()
            await self._installer.tidy()
            self._serving = True
            await self._inventory.reconcile(patient=False)
            await self._settle()
            started()
            config = self._config()
            async with aclosing(changes(config.directory, self._look_again, watch=config.watch)) as signs:
                async for changed in signs:
                    if changed:
                        await self._inventory.reconcile()
                        self._summaries.outdate()
                    await self._keep_records()
        finally:
            await asyncio.shield(asyncio.ensure_future(self._close(loader, client)))

    def list(self) -> list[Plugin]:
        """Return every plugin, by name."""
        return [self._plugins[name] for name in sorted(self._plugins)]

    def get(self, name: str) -> Plugin:
        """Return the plugin `name`.

        Raises:
            NotFoundError: there is none.
        """
        plugin = self._plugins.get(name)
        if plugin is None:
            raise NotFoundError(f'Plugin "{name}" not found; GET /api/v1/plugins lists what there is')
        return plugin

    async def reload(self, name: str) -> Plugin:
        """Load the plugin's files again beside what runs, and swap.

        Raises:
            NotFoundError: there is none.
            ConflictError: it is disabled, or does not load: what ran before still runs.
        """
        plugin = self.get(name)
        self._check_loadable(plugin)
        plugin.gate.release()
        if not await self._tasks.whole(self._activation.load(plugin, afresh=True)):
            raise ConflictError(plugin.error or f'plugin "{name}" did not load')
        return plugin

    async def roll_back(self, name: str, number: int | None = None) -> Plugin:
        """Step back to generation `number`, or to the newest kept one before the live one; lasts over a restart.

        Raises:
            NotFoundError: there is no such plugin, or no such generation of it.
            ConflictError: there is none before it, it does not load, or the plugin is disabled.
        """
        plugin = self.get(name)
        self._check_loadable(plugin)
        goal = self._generations.chosen(name, number, plugin.number if plugin.loaded is not None else None)
        try:
            await self._tasks.whole(self._activation.roll_back(plugin, goal, "an operator rolled it back"))
        except SupersededError as error:
            raise ConflictError(f'plugin "{name}" was changed meanwhile: look at it and try again') from error
        except LoadError as error:
            raise ConflictError(f"generation {goal.number} does not load: {error.message}") from error
        return plugin

    def versions(self, name: str) -> Sequence[dict[str, Any]]:
        """Return the kept generations of a plugin, the newest first.

        Raises:
            NotFoundError: there is no such plugin.
        """
        return versions_shown(self.get(name), self._generations)

    async def disable(self, name: str) -> Plugin:
        """Withdraw the plugin's tools; it stays disabled over a restart.

        Raises:
            NotFoundError: there is none.
        """
        return await self._tasks.whole(self._disable(self.get(name)))

    async def enable(self, name: str) -> Plugin:
        """Undo `disable`.

        Raises:
            NotFoundError: there is none.
            ConflictError: one of its tools' names was taken meanwhile.
        """
        return await self._tasks.whole(self._enable(self.get(name)))

    def grants_of(self, name: str) -> dict[str, Any]:
        """Return what the plugin asks for, may do, was refused, and the command that would allow it.

        Raises:
            NotFoundError: there is none.
        """
        return grants_shown(self.get(name), self._grants, self._config())

    async def decide(self, name: str, decisions: Mapping[str, bool]) -> Plugin:
        """Grant and revoke permissions; the plugin's next host call obeys.

        A plugin that lacks a required permission is withdrawn until it has it; one that waited for it is loaded.

        Raises:
            NotFoundError: there is none.
            BadRequestError: a permission does not exist, is not asked for or cannot be revoked.
        """
        plugin = self.get(name)
        check_decisions(name, decisions, plugin.asked)
        return await self._tasks.whole(self._decide(plugin, decisions))

    async def install(self, parts: AsyncIterator[Part]) -> tuple[Plugin, bool]:
        """Install what arrives in `parts`; return the plugin, and whether its name is new. See `Installer`.

        Raises:
            BadRequestError: it would not load; says why.
            ConflictError: it does not go with what is there.
            UnavailableError: the directory cannot be written.
        """
        upload = await self._installer.receive(parts)
        return await self._tasks.whole(self._installer.install(upload))

    async def remove(self, name: str, *, purge: bool) -> None:
        """Remove the plugin's files and end all trust in its name; `purge` also drops its data. See `Installer`.

        Raises:
            NotFoundError: there is none.
            ConflictError: two have this name.
            UnavailableError: the directory or the store cannot be written.
        """
        await self._tasks.whole(self._installer.remove(name, purge=purge))

    async def reconfigured(self, old: PluginsConfig) -> None:
        """Act on what the configuration says differently from `old`; see `Reconfiguration.obey`."""
        if self._serving:
            await self._reconfiguration.obey(old)

    def problems(self) -> Sequence[Problem]:
        """Return why the daemon is degraded because of plugins."""
        found = self.summary().problems
        return found if self._inventory.problem is None else [self._inventory.problem, *found]

    def summary(self) -> Summary:
        """Return how many plugins there are and what is wrong with them, at most a second old; see `Summaries`."""
        return self._summaries.current()

    def metrics(self) -> Sequence[Metric]:
        """Return what the plugins are and used; see `MetricSource`."""
        return plugin_metrics(self.list())

    def _check_loadable(self, plugin: Plugin) -> None:
        if plugin.disabled:
            raise ConflictError(f'plugin "{plugin.name}" is disabled; enable it first')
        if plugin.doubled:
            raise ConflictError(plugin.error or f'two plugins are named "{plugin.name}"')

    async def _disable(self, plugin: Plugin) -> Plugin:
        async with plugin.changing:
            self._check_there(plugin)
            await self._switches.set(plugin.name, disabled=True)
            plugin.disable()
        log.info("plugin disabled", plugin=plugin.name)
        return plugin

    async def _enable(self, plugin: Plugin) -> Plugin:
        async with plugin.changing:
            self._check_there(plugin)
            plugin.enable()
            await self._switches.set(plugin.name, disabled=False)
        # What kept its newest version from loading may be gone by now: a grant is not tried while it is disabled.
        if (plugin.loaded is None or plugin.fault is not None) and not plugin.loading:
            await self._activation.load(plugin)
        log.info("plugin enabled", plugin=plugin.name)
        return plugin

    async def _decide(self, plugin: Plugin, decisions: Mapping[str, bool]) -> Plugin:
        async with plugin.changing:
            self._check_there(plugin)
            await self._grants.decide(plugin.name, decisions, plugin.asked)
            revoked = [permission for permission, allowed in decisions.items() if not allowed]
            self._activation.loader.revoke(plugin.name, revoked)
            plugin.regrant(self._config(), self._grants.decisions(plugin.name))
        if plugin.waits_for_grant and not plugin.disabled:
            await self._activation.load(plugin)
        log.info("grants changed", plugin=plugin.name, decisions=dict(decisions))
        return plugin

    def _check_there(self, plugin: Plugin) -> None:
        """Refuse to decide about a plugin that was removed meanwhile: the next of its name would inherit it."""
        if self._plugins.get(plugin.name) is not plugin:
            raise NotFoundError(f'Plugin "{plugin.name}" was removed meanwhile')

    async def _forget(self, name: str, purge: bool) -> None:  # noqa: FBT001  # the installer's, by position
        await self._generations.save()  # what waits to be written would come after, and stay
        await forget(self._services.store, name, purge=purge)
        for memory in (self._holders, self._switches, self._grants, self._sentences, self._generations):
            memory.forget(name)
        await self._generations.sweep()
        if purge:
            try:
                await asyncio.to_thread(SecretStore(self._data_dir).forget_plugin, name)
            except PrxError as error:  # it is gone all the same: what is left opens nothing to others
                log.warning("secrets of a removed plugin are left", plugin=name, reason=error.message)

    def _note_progress(self) -> None:
        self._summaries.outdate()
        self._progress.set()

    async def _settle(self) -> None:
        """Wait until every plugin is loaded, has failed or compiles."""
        while any(plugin.loading and not plugin.compiling for plugin in self._plugins.values()):
            self._progress.clear()
            await self._progress.wait()

    async def _keep_records(self) -> None:
        try:
            await self._grants.flush()
            await self._sentences.save()
            if self._generations.unsaved:
                await self._generations.save()
        except UnavailableError as error:  # a full disk must not stop the plugins; the next turn writes them
            log.warning("what happened to plugins cannot be written", reason=error.message)

    async def _close(self, loader: Loader, client: EgressClient) -> None:
        """End every call and thread, within seconds."""
        self._serving = False
        await self._tasks.aclose()
        await self._generations.aclose()
        await self._keep_records()
        for plugin in self._plugins.values():
            plugin.remove()
        self._plugins.clear()
        self._activation.loader = None
        await loader.aclose()
        await client.aclose()
