"""What a plugin is and would be given, told without a daemon."""

import asyncio
from pathlib import Path
from typing import Any

from prx.config.schema import PluginsConfig
from prx.plugins.asked import LISTED
from prx.plugins.cache import Cache
from prx.plugins.compiler import Compiler
from prx.plugins.errors import LoadError
from prx.plugins.grants import Grants
from prx.plugins.host.http import HttpOutbound
from prx.plugins.host.interfaces import HostServices, host_functions
from prx.plugins.loader import Loaded, Loader, Unwatched
from prx.plugins.plugin_view import limits_shown, signature_shown
from prx.plugins.secrets import SecretStore
from prx.plugins.sources import check_component, read, source_at
from prx.runtime.bus import Bus
from prx.runtime.egress.client import EgressClient
from prx.runtime.memory import Memory
from prx.runtime.store import Store


async def report(path: Path, config: PluginsConfig, data_dir: Path, scratch: Path) -> dict[str, Any]:
    """Load the plugin at `path` as the daemon of `data_dir` would, with its files in `scratch`, and tell about it.

    Raises:
        LoadError: it would not load; says why. A permission that is not granted is told in the report instead.
    """
    source = source_at(path)
    if source is None:
        raise LoadError(
            "not a plugin: give a .wasm or .prxplugin file, or a directory with a plugin.toml (docs/plugins.md)"
        )
    contents, component = await asyncio.to_thread(read, source)
    check_component(component, path.name)
    store = await Store.open(scratch / "store.db")
    loop = asyncio.get_running_loop()
    client = EgressClient()
    try:
        compiler = Compiler(Cache(scratch / "cache"))
        http = HttpOutbound(loop, client, lambda: config.allow_private_targets)
        functions = host_functions(HostServices(store, await Memory.open(store), Bus()), http, loop)
        secrets = SecretStore(scratch)
        loader = Loader(compiler, functions, Grants(store), secrets, loop, data_dir)
        try:
            loaded = await loader.load(
                contents, component, config, Unwatched(), wanted=lambda: True, lenient=True
            )
        finally:
            await loader.aclose()
    finally:
        await client.aclose()
        await store.aclose()
    return _shown(loaded)


def _shown(loaded: Loaded) -> dict[str, Any]:
    settings = loaded.settings
    return {
        "name": loaded.contents.name,
        "version": loaded.contents.version,
        "kind": _kind(loaded),
        "capabilities": loaded.capabilities(),
        "tools": [
            {
                "name": spec.name,
                "description": spec.description,
                "parameters": dict(spec.parameters),
            }
            for spec, *_ in loaded.bound.tools
        ],
        "skipped": loaded.skipped,
        "imports": sorted(loaded.inspection.imported_interfaces),
        "permissions": {
            "granted": sorted(settings.permissions),
            "missing": list(settings.missing),
            "optional_not_granted": sorted(set(loaded.asked.optional) - settings.permissions),
            "entries": {name: entries for name in LISTED if (entries := loaded.asked.shown(name))},
        },
        "signature": signature_shown(loaded.signature),
        "limits": limits_shown(settings.limits),
        "warnings": loaded.warnings(),
    }


def _kind(loaded: Loaded) -> str:
    if loaded.worlds:
        return f"PRX {' and '.join(loaded.worlds)} world{'s' if len(loaded.worlds) > 1 else ''}"
    return "plain component" if loaded.bound.tools else "PRX base-plugin world"
