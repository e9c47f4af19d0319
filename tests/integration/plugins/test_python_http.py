"""A Python component that sends its requests through `wasi:http`, on componentize-py's own event loop."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.egress.servers import Received, reply, serving
from tests.support.logs import logged
from tests.support.plugin_host import PluginHost
from tests.support.python_guests import python_guest

pytestmark = pytest.mark.slow


async def test_a_python_guest_asks_for_several_pages_at_once(host: PluginHost, tmp_path: Path) -> None:
    together = asyncio.Barrier(2)

    async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
        assert received.values("Accept") == ["text/plain"]
        await together.wait()
        writer.write(reply(200, received.line.split()[1].encode()))

    host.configure(allow_private_targets=True, auto_grant=("http-outbound",))
    async with serving(answer) as server:
        manifest = (
            '[plugin]\nname = "reader"\nversion = "1.0.0"\n[permissions]\nrequired = ["http-outbound"]\n'
            f'http_allowlist = ["{server.url("/open")}"]\n'
        )
        host.drop("reader", await asyncio.to_thread(python_guest, "reader"), manifest=manifest)
        with logged(tmp_path) as lines:
            async with host.running():
                await host.until("reader", "loaded", within_secs=180)
                authority = f"127.0.0.1:{server.port}"
                paths = ["/open/1", "/open/2"]
                assert await host.output("texts", {"authority": authority, "paths": paths}) == paths
                result = await host.call("texts", {"authority": authority, "paths": ["/closed"]})
                assert result.error is not None
                assert result.error.message == "ErrorCode_HttpRequestDenied"
        said = lines.messages("plugin::reader")
        assert "is not on the plugin's http_allowlist" in said[0]
        assert said[1] == "failed: ErrorCode_HttpRequestDenied()"
