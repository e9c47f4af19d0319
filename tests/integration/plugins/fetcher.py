"""A guest that sends the requests and reads the settings that a test tells it to: `fetcher.wat`, installed."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from wasmtime import wat2wasm

from prx.core.tool import ToolResult
from tests.support.plugin_host import PluginHost

NAME = "fetcher"
FETCHER = bytes(wat2wasm((Path(__file__).parent / "fetcher.wat").read_text(encoding="utf-8")))


def manifest(allowlist: Sequence[str], config: str = "", **resources: int) -> str:
    """Return a manifest that asks for http-outbound to `allowlist`."""
    limits = "".join(f"{key} = {value}\n" for key, value in resources.items())
    return (
        f'[plugin]\nname = "{NAME}"\nversion = "1.0.0"\n'
        f'[permissions]\nrequired = ["http-outbound"]\nhttp_allowlist = {json.dumps(list(allowlist))}\n'
        f"[resources]\n{limits}[config]\n{config}"
    )


class Guest:
    """The installed component."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host

    async def fetch(
        self,
        url: str,
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> ToolResult:
        """Have it send a request."""
        arguments: dict[str, Any] = {
            "method": method,
            "url": url,
            "headers": [list(pair) for pair in headers],
        }
        if body is not None:
            arguments["body"] = base64.b64encode(body).decode()
        return await self._host.call("fetch", arguments)

    async def got(self, url: str, **request: Any) -> dict[str, Any]:
        """Have it send a request that must be answered; return the answer, its body as bytes."""
        result = await self.fetch(url, **request)
        assert result.error is None, result.error
        assert isinstance(result.output, dict)
        return result.output | {"body": base64.b64decode(result.output["body"])}

    async def refused(self, url: str, **request: Any) -> str:
        """Have it send a request that must not be answered; return what it is told."""
        result = await self.fetch(url, **request)
        assert result.error is not None, result.output
        return result.error.message

    async def setting(self, key: str) -> str:
        """Return what it reads as its configuration."""
        return str(await self._host.output("setting", {"key": key}))


@asynccontextmanager
async def installed(host: PluginHost, text: str) -> AsyncIterator[Guest]:
    """Run the host with the component under the manifest `text`."""
    host.configure(auto_grant=("http-outbound",))
    host.drop(NAME, FETCHER, manifest=text)
    async with host.running():
        await host.until(NAME, "loaded")
        yield Guest(host)
