"""What a changed configuration means for plugins that are loaded: only those that it concerns notice, no call fails."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from prx.config.schema import PluginsConfig
from prx.core.errors import UnavailableError
from prx.plugins.activation import Activation
from prx.plugins.errors import LoadError
from prx.plugins.generations import Generations
from prx.plugins.grants import Grants
from prx.plugins.loader import Loaded
from prx.plugins.plugin import Plugin
from prx.plugins.settings import Settings, settings_for
from prx.plugins.signing import Signature, admit
from prx.runtime.logging import get_logger
from prx.runtime.tasks import Tasks

log = get_logger("plugins::catalogue")

_PATIENCE_SECS: Final = 10.0


class Reconfiguration:
    """Has the plugins of one catalogue obey another configuration."""

    def __init__(
        self,
        config: Callable[[], PluginsConfig],
        plugins: Mapping[str, Plugin],
        grants: Grants,
        generations: Generations,
        activation: Activation,
        tasks: Tasks,
        progress: asyncio.Event,
    ) -> None:
        """Act on `plugins`, which the catalogue keeps; `progress` is set whenever a task or a load ends."""
        self._config = config
        self._plugins = plugins
        self._grants = grants
        self._generations = generations
        self._activation = activation
        self._tasks = tasks
        self._progress = progress

    async def obey(self, old: PluginsConfig) -> None:
        """Act on what the configuration says differently from `old`.

        Grants and trust act in place. Limits, settings and prefixes are part of a generation: the plugin gets another
        one of the same version, while calls in flight end on the one before. This returns once each plugin that is
        concerned serves by the new configuration, has failed or compiles, after ten seconds at the latest; what is left
        goes on.
        """
        new = self._config()
        if new.keep_generations != old.keep_generations:
            self._tasks.start(self._trim())
        running = {self._tasks.start(self._adapt(plugin, old)): plugin for plugin in self._plugins.values()}
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECS):
                while any(not task.done() and not plugin.compiling for task, plugin in running.items()):
                    self._progress.clear()
                    await self._progress.wait()

    async def _trim(self) -> None:
        self._generations.trim()
        try:
            await self._generations.save()
        except UnavailableError as error:  # `/status` says so, and the catalogue tries again
            log.warning("what happened to plugins cannot be written", reason=error.message)

    async def _adapt(self, plugin: Plugin, old: PluginsConfig) -> None:
        while plugin.loading:  # perhaps by the configuration of before
            self._progress.clear()
            await self._progress.wait()
        new = self._config()
        if plugin.loaded is not None:
            await self._obey_in_place(plugin, plugin.loaded, old, new)
        if not plugin.doubled and (self._is_behind(plugin, new) or self._may_load_now(plugin, old, new)):
            await self._activation.load(plugin)

    async def _obey_in_place(
        self, plugin: Plugin, loaded: Loaded, old: PluginsConfig, new: PluginsConfig
    ) -> None:
        before, after = (self._settings(plugin.name, loaded, config) for config in (old, new))
        retrusted = _trust(old) != _trust(new)
        if not retrusted and _grants(before) == _grants(after):
            return
        signature, refusal = await _vouching(loaded, new) if retrusted else (loaded.signature, None)
        async with plugin.changing:
            if plugin.loaded is not loaded:
                return  # a newer one, loaded by the new configuration
            if retrusted:
                plugin.vouch(signature, refusal)
            self._activation.loader.revoke(plugin.name, before.permissions - after.permissions)
            plugin.regrant(new, self._grants.decisions(plugin.name))

    def _is_behind(self, plugin: Plugin, new: PluginsConfig) -> bool:
        """Tell whether what runs was made with other settings than it would be now."""
        loaded = plugin.loaded
        return loaded is not None and _fixed(loaded.settings) != _fixed(
            self._settings(plugin.name, loaded, new)
        )

    def _may_load_now(self, plugin: Plugin, old: PluginsConfig, new: PluginsConfig) -> bool:
        """Tell whether what did not load could by what has changed."""
        asked = plugin.asked
        if plugin.fault is None or plugin.disabled or asked is None:
            return False
        decisions = self._grants.decisions(plugin.name)
        before, after = (
            settings_for(plugin.name, plugin.manifest, asked, config, decisions) for config in (old, new)
        )
        return before != after or _trust(old) != _trust(new)

    def _settings(self, name: str, loaded: Loaded, config: PluginsConfig) -> Settings:
        decisions = self._grants.decisions(name)
        return settings_for(name, loaded.contents.manifest, loaded.asked, config, decisions)


async def _vouching(loaded: Loaded, config: PluginsConfig) -> tuple[Signature | None, str | None]:
    """Return who vouches for what runs, and why it must not if nobody does that has to."""
    required = config.require_signature
    try:
        return await asyncio.to_thread(admit, loaded.contents, config.trusted_keys, required=required), None
    except LoadError as error:
        return loaded.signature, error.message


def _trust(config: PluginsConfig) -> tuple[object, ...]:
    return config.trusted_keys, config.require_signature


def _grants(settings: Settings) -> tuple[object, ...]:
    """What a generation can be told while it runs."""
    return settings.permissions, settings.entries, settings.waiting, settings.missing


def _fixed(settings: Settings) -> tuple[object, ...]:
    """What a generation keeps for its life."""
    return settings.limits, settings.config, settings.tool_prefix
