"""PRX's MCP client, driven as the official conformance suite wants it.

    conformance client --command "python -m tests.support.conformance_client" --scenario tools_call

Connects, logs in as a browser would where it is asked to, and calls every tool.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prx.config.integrations import McpServerConfig
from prx.mcp.client.oauth.logins import LoginFile
from tests.support.login_servers import browse, user_logs_in
from tests.support.mcp_host import McpHost, mcp_host
from tests.support.waiting import eventually

_VALUES = {"number": 5, "integer": 5, "string": "text", "boolean": True, "array": [], "object": {}}
_SETTLED = ("connected", "needs_auth")


async def main(url: str) -> None:
    """Do what a scenario may look at."""
    given = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    config = McpServerConfig.model_validate({"url": url, "oauth": await _oauth(given, url)})
    with TemporaryDirectory() as home:
        async with mcp_host(Path(home), {"one": config}) as host:
            await eventually(lambda: host.view().status in _SETTLED, within_secs=20)
            if host.view().status == "needs_auth":
                await _log_in(host, config, Path(home))
            await _call_everything(host)


async def _log_in(host: McpHost, config: McpServerConfig, home: Path) -> None:
    await asyncio.to_thread(LoginFile(home).put, "one", await user_logs_in(config))
    host.servers.reconnect("one")
    await host.until("connected")


async def _call_everything(host: McpHost) -> None:
    for spec in host.router.specs():
        properties: dict[str, Any] = spec.parameters.get("properties", {})
        arguments = {name: _VALUES[about.get("type", "string")] for name, about in properties.items()}
        result = await host.router.call(spec.name, arguments, host.caller)
        print(spec.name, result.output, result.error)  # noqa: T201  # the suite shows it


async def _oauth(given: dict[str, Any], url: str) -> dict[str, Any]:
    known = {key: given[key] for key in ("client_id", "client_secret") if key in given}
    if "client_secret" in known:
        # Whoever has credentials knows whose they are; the suite does not say.
        _, about = await browse(url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"))
        known["issuer"] = json.loads(about)["authorization_servers"][0]
    if "client-credentials" in os.environ.get("MCP_CONFORMANCE_SCENARIO", ""):
        known["grant"] = "client_credentials"
    return known


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
