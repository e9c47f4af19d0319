"""A server of the newest version tells of changed resources on a stream, whichever version its listeners speak."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mcp import MCPError
from mcp_types import ResourceUpdatedNotification

from tests.integration.mcp.test_asking_servers import asking
from tests.integration.mcp_server.clients import NEWEST, Port
from tests.integration.mcp_server.conftest import MakePort
from tests.support.mcp_host import McpHost, mcp_host
from tests.support.waiting import eventually

# What the newest version does without is what older clients do.
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")


class Told(NamedTuple):
    port: Port
    host: McpHost

    async def touch(self, uri: str) -> list[list[str]]:
        """Have a resource change; return what the server was asked to tell of, each time that it was."""
        listened: list[list[str]] = json.loads(await self.host.output("touch", {"uri": uri}))
        return listened


@pytest.fixture
async def told(make_port: MakePort, tmp_path: Path) -> AsyncIterator[Told]:
    home = tmp_path / "servers"
    home.mkdir()
    async with mcp_host(home, {"one": asking("newest")}) as host:
        await host.until("connected", within_secs=60)
        yield Told(await make_port(upstreams=host.servers), host)


async def test_a_client_of_an_older_version_hears_of_what_it_subscribed_to(told: Told) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def hear(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.put_nowait(str(message.params.uri))

    async with asyncio.timeout(60), told.port.client("legacy", message_handler=hear) as client:
        await client.subscribe_resource("memo://1")
        await told.touch("memo://2")
        assert (await told.touch("memo://1"))[-1] == ["memo://1"]
        assert await heard.get() == "memo://1"
        await client.subscribe_resource("memo://2")
        assert (await told.touch("memo://2"))[-1] == ["memo://1", "memo://2"]
        assert await heard.get() == "memo://2"
        await client.unsubscribe_resource("memo://1")
        await client.unsubscribe_resource("memo://2")
        while (await told.touch("memo://1"))[-1]:  # noqa: ASYNC110 - the server is asked
            await asyncio.sleep(0.02)
        assert heard.empty()


async def test_a_client_of_the_newest_version_hears_of_what_it_listens_to(told: Told) -> None:
    async with asyncio.timeout(60), told.port.client(NEWEST) as client:
        async with client.listen(resource_subscriptions=["memo://1"]) as news:
            await told.touch("memo://1")
            assert (await anext(aiter(news))).uri == "memo://1"  # type: ignore[union-attr]
        await eventually(lambda: told.port.held == {})


async def test_a_server_that_was_started_anew_is_asked_again(told: Told) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def hear(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.put_nowait(str(message.params.uri))

    async with asyncio.timeout(120), told.port.client("legacy", message_handler=hear) as client:
        await client.subscribe_resource("memo://1")
        before = told.host.view().pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await eventually(lambda: told.host.view().pid not in (None, before), within_secs=60)
        while ["memo://1"] not in await told.touch("memo://2"):  # noqa: ASYNC110 - the server is asked
            await asyncio.sleep(0.02)
        await told.touch("memo://1")
        assert await heard.get() == "memo://1"


async def test_a_resource_that_the_server_does_not_tell_of_cannot_be_subscribed_to(told: Told) -> None:
    async with asyncio.timeout(60), told.port.client("legacy") as client:
        with pytest.raises(MCPError, match="does not tell of changes of memo://silent"):
            await client.subscribe_resource("memo://silent")
        await client.subscribe_resource("memo://1")
        assert told.port.held == {"memo://1": 1}
