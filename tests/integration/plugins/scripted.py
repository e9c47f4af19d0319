"""A JavaScript guest that does what a test tells it to, installed: see `tests/components/javascript/guest.js`."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prx.core.tool import ToolFailure
from tests.support.plugin_host import PluginHost

NAME = "fetcher"
_COMPILE_SECS = 180


class Guest:
    """The installed component."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host

    async def returned(self, script: str, **values: Any) -> Any:
        """Run the script, in which the values are constants; return what it returns."""
        output = await self._host.output("evaluate", {"script": _with(values, script)})
        return json.loads(output)

    async def ended(self, script: str, **values: Any) -> ToolFailure:
        """Run a script that must not come to its end; return how its call ends."""
        result = await self._host.call("evaluate", {"script": _with(values, script)})
        assert result.error is not None, result.output
        return result.error


def _with(values: dict[str, Any], script: str) -> str:
    return "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items()) + script


@asynccontextmanager
async def scripted(host: PluginHost, component: bytes, manifest: str) -> AsyncIterator[Guest]:
    """Run the host with the component under `manifest`."""
    host.configure(auto_grant=("http-outbound",))
    host.drop(NAME, component, manifest=manifest)
    async with host.running():
        await host.until(NAME, "loaded", within_secs=_COMPILE_SECS)
        yield Guest(host)
