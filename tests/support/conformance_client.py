"""PRX's MCP client, driven as the official conformance suite wants it, with a user who agrees to everything.

    conformance client --command "python -m tests.support.conformance_client" --scenario tools_call

Connects, logs in as a browser would where it is asked to, calls every tool, and gives the input that one asks for.
Where a call says that it needs another login, that is made, and everything is called once more.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prx.config.integrations import McpServerConfig
from prx.core.tool import CallContext
from prx.mcp.client.oauth.logins import LoginFile
from tests.support.login_servers import browse, user_logs_in
from tests.support.mcp_host import McpHost, mcp_host
from tests.support.waiting import eventually

_VALUES = {"number": 5, "integer": 5, "string": "text", "boolean": True, "array": [], "object": {}}
_SCOPE = re.compile(r"--scope ([^\s`]+)")
_SETTLED = ("connected", "needs_auth")
# A server that refuses so many attempts after a login refuses all of them.
_ATTEMPTS = 10


async def main(url: str) -> None:
    """Do what a scenario may look at."""
    given = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    config = McpServerConfig.model_validate(
        {"url": url, "oauth": await _oauth(given, url), "ask_clients": True}
    )
    with TemporaryDirectory() as home:
        async with mcp_host(Path(home), {"one": config}) as host:
            await eventually(lambda: host.view().status in _SETTLED)
            if host.view().status == "needs_auth":
                await _log_in(host, config, Path(home))
            wanted = await _call_everything(host)
            if wanted:
                await _log_in(host, config, Path(home), *wanted)
                await _call_everything(host)


async def _log_in(host: McpHost, config: McpServerConfig, home: Path, *scopes: str) -> None:
    await asyncio.to_thread(LoginFile(home).put, "one", await user_logs_in(config, *scopes))
    host.servers.reconnect("one")
    await eventually(lambda: host.view().status == "reconnecting")
    await eventually(lambda: host.view().status == "connected" or host.view().restarts >= _ATTEMPTS)


async def _call_everything(host: McpHost) -> list[str]:
    """Call every tool; return the scopes that one wants and the login has not."""
    wanted: list[str] = []
    for spec in host.router.specs():
        properties: dict[str, Any] = spec.parameters.get("properties", {})
        arguments = {name: _VALUES[about.get("type", "string")] for name, about in properties.items()}
        result = await host.router.call(spec.name, arguments, CallContext(ask=_Person()))
        print(spec.name, result.output, result.error)  # noqa: T201  # the suite shows it
        if result.error is not None:
            wanted += _SCOPE.findall(result.error.message)
    return wanted


class _Person:
    """Whoever is asked for input leaves the form as it is. See `Ask`."""

    capabilities: Mapping[str, Any] = {"elicitation": {}}

    async def __call__(self, _method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        fields = params["requestedSchema"]["properties"]
        content = {name: about["default"] for name, about in fields.items() if "default" in about}
        return {"action": "accept", "content": content}


async def _oauth(given: dict[str, Any], url: str) -> dict[str, Any]:
    if os.environ.get("MCP_CONFORMANCE_SCENARIO") == "auth/basic-cimd":
        # Whoever has a document about this client at an address has that as the client's id.
        return {"client_id": "https://conformance-test.local/client-metadata.json"}
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
