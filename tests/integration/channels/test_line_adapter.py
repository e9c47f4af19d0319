"""The smallest adapter passes the tests of all adapters: they ask for nothing that one could not do."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from prx.core.channel import Connect
from tests.support.channel_kit import AdapterContract, Rehearsal
from tests.support.line_channel import PLAIN, TOKEN, LinePlatform, connecting_to
from tests.support.servers.ports import reserved_port
from tests.support.waiting import eventually


class LineRehearsal(Rehearsal):
    kind = "line"

    def __init__(self, port: int) -> None:
        self.platform = LinePlatform()
        self.platform.port = port
        self._read = 0
        self._server: asyncio.Server | None = None

    @property
    def connect(self) -> Connect:
        # Above what a busy machine takes for an answer, and below what a test waits for.
        return connecting_to(self.platform, replace(PLAIN, cadence_secs=2, idle_limit_secs=4))

    def table(self) -> dict[str, Any]:
        return {"token": TOKEN}

    def wrong_table(self) -> dict[str, Any]:
        return {"token": "hunter2"}

    async def say(self, text: str) -> None:
        self.platform.say(text)

    async def read(self) -> str:
        await eventually(lambda: len(self.platform.texts) > self._read)
        self._read += 1
        return str(self.platform.texts[self._read - 1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self.platform.serve, "127.0.0.1", self.platform.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.platform.drop_all()
            await self._server.wait_closed()
            self._server = None

    async def freeze(self) -> None:
        self.platform.answers.clear()

    async def thaw(self) -> None:
        self.platform.answers.set()


class TestLine(AdapterContract):
    @pytest.fixture
    async def rehearsal(self) -> AsyncIterator[LineRehearsal]:
        with reserved_port() as port:
            rehearsal = LineRehearsal(port)
            await rehearsal.start()
            yield rehearsal
            await rehearsal.stop()
