"""The real plugin host for tests: a catalogue on a real store and router, watching a directory of the test's."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prx.config.schema import PluginLimits, PluginsConfig, PluginSettings
from prx.core.tool import CallContext, ToolResult
from prx.plugins.catalogue import Catalogue, Plugin
from prx.plugins.host.interfaces import HostServices
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.memory import Memory
from prx.runtime.store import Store
from tests.components.corpus import component
from tests.support.waiting import PATIENCE_SECS, eventually

CALLER = CallContext(request_id="test")


class PluginHost:
    """One plugins directory and the catalogue that keeps up with it; `running` starts it, and may again."""

    def __init__(self, directory: Path, data_dir: Path, *, store: Path) -> None:
        """Use `directory` for plugins, `data_dir` for compiled code and the file `store` for what lasts."""
        self.directory = directory
        self.bus = Bus()
        self.points = ExtensionPoints.on(self.bus)
        self.router = self.points.tools
        self.config = PluginsConfig(directory=directory)
        self.at_start: dict[str, str] = {}
        """Each plugin's status when the catalogue said that it serves."""
        self.data_dir = data_dir
        self._store_path = store
        self.catalogue: Catalogue
        self.store: Store
        self._unit: asyncio.Future[None]

    def limit(self, **limits: Any) -> None:
        """Change the daemon's defaults for what plugins load from now on."""
        merged = self.config.limits.model_dump(exclude_unset=True) | limits
        self.configure(limits=PluginLimits(**merged))

    def settle(self, name: str, **settings: Any) -> None:
        """Change the operator's settings of one plugin."""
        self.configure(settings={**self.config.settings, name: PluginSettings(**settings)})

    def configure(self, **keys: Any) -> None:
        """Change keys of `[plugins]`."""
        self.config = self.config.model_copy(update=keys)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["PluginHost"]:
        """Run the catalogue until the block ends, on a store of its own life."""
        self.store = await Store.open(self._store_path)
        services = HostServices(self.store, Memory(self.store), self.bus)
        self.catalogue = Catalogue(lambda: self.config, self.data_dir, self.points, services)
        await self._start()
        try:
            yield self
        finally:
            await self._stop()
            await self.store.aclose()

    async def restart(self) -> None:
        """End the catalogue and run the same one again, as its supervisor would."""
        await self._stop()
        await self._start()

    async def _start(self) -> None:
        serving = asyncio.Event()

        def started() -> None:
            self.at_start = {plugin.name: plugin.status for plugin in self.catalogue.list()}
            serving.set()

        self._unit = asyncio.ensure_future(self.catalogue.run(started))
        waiting = asyncio.ensure_future(serving.wait())
        await asyncio.wait({self._unit, waiting}, timeout=PATIENCE_SECS, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._unit.done():
            self._unit.result()
        assert serving.is_set(), "the catalogue does not serve"

    async def _stop(self) -> None:
        assert not self._unit.done(), "the catalogue ended by itself"
        self._unit.cancel()
        await asyncio.wait({self._unit}, timeout=PATIENCE_SECS)
        assert self._unit.cancelled(), "the catalogue does not end"

    @asynccontextmanager
    async def cron(self) -> AsyncIterator[None]:
        """Have jobs run when they are due, until the block ends."""
        unit = asyncio.ensure_future(self.points.cron.run(lambda: None))
        try:
            yield
        finally:
            unit.cancel()
            await asyncio.wait({unit}, timeout=PATIENCE_SECS)

    def drop(self, name: str, wasm: bytes | None = None, *, manifest: str | None = None) -> Path:
        """Install a component as one finished file, as `mv` does: bare, or in a directory when it has a manifest.

        `wasm` defaults to the corpus's component of that name.
        """
        content = component(name) if wasm is None else wasm
        if manifest is None:
            return replace(self.directory / f"{name}.wasm", content)
        directory = self.directory / name
        directory.mkdir(exist_ok=True)
        replace(directory / "plugin.wasm", content)
        replace(directory / "plugin.toml", manifest.encode())
        return directory

    def plugin(self, name: str) -> Plugin:
        """Return the plugin `name`."""
        return self.catalogue.get(name)

    def names(self) -> list[str]:
        """Return the names of all plugins."""
        return [plugin.name for plugin in self.catalogue.list()]

    async def until(
        self, name: str, status: str, error: str | None = None, *, within_secs: float = PATIENCE_SECS
    ) -> Plugin:
        """Wait until the plugin has `status`, and an error that contains `error`."""

        def reached() -> bool:
            return any(
                plugin.name == name
                and plugin.status == status
                and (plugin.error is None if error is None else error in (plugin.error or ""))
                for plugin in self.catalogue.list()
            )

        try:
            await eventually(reached, within_secs=within_secs)
        except TimeoutError:
            found = {plugin.name: (plugin.status, plugin.error) for plugin in self.catalogue.list()}
            raise AssertionError(f"{name} did not become {status} with error {error!r}: {found}") from None
        return self.plugin(name)

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> ToolResult:
        """Call a tool through the router."""
        return await self.router.call(tool, arguments or {}, CALLER)

    async def output(self, tool: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Call a tool that must succeed and return its output."""
        result = await self.call(tool, arguments)
        assert result.error is None, result.error
        return result.output


def replace(path: Path, content: bytes) -> Path:
    """Put a whole file in place in one step."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    os.replace(temporary, path)  # noqa: PTH105  # one word for what it is
    return path
