"""MQTT: somebody with a client of mosquitto."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiomqtt import Client

from tests.support.channel_kit import Rehearsal
from tests.support.servers.mosquitto import PASSWORD, mosquitto
from tests.support.servers.process import ServerProcess
from tests.support.waiting import PATIENCE_SECS


class MqttRehearsal(Rehearsal):
    kind = "mqtt"

    def __init__(self, server: ServerProcess, certificate: Path) -> None:
        self.server = server
        self._certificate = certificate
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self._listening: asyncio.Task[None] | None = None

    def table(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1", "port": self.server.port, "tls": False, "user": "bot", "password": PASSWORD,
            "allowed_users": ["*"],
        }  # fmt: skip

    def tls_table(self) -> dict[str, Any]:
        """Return the keys of a channel that works over TLS."""
        return self.table() | {"port": self.server.tls_port, "tls": True, "tls_ca": str(self._certificate)}

    def wrong_table(self) -> dict[str, Any]:
        return self.table() | {"password": "hunter2"}

    def person(self) -> Client:
        return Client("127.0.0.1", self.server.port, username="ada", password=PASSWORD)

    async def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        async with self.person() as ada:
            await ada.publish(topic, payload, qos=1, retain=retain)

    async def say(self, text: str) -> None:
        await self.publish("prx/in/ada", text)

    async def read(self) -> str:
        async with asyncio.timeout(PATIENCE_SECS):
            return await self.heard.get()

    async def listen(self) -> None:
        """Be subscribed to answers when this returns."""
        ready = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(ready))
        await ready.wait()

    async def _listen(self, ready: asyncio.Event) -> None:
        async with self.person() as ada:
            await ada.subscribe("prx/out/#", qos=1)
            ready.set()
            async for message in ada.messages:
                assert isinstance(message.payload, bytes)
                self.heard.put_nowait(message.payload.decode())

    async def deafen(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        await self.listen()

    async def stop(self) -> None:
        await self.deafen()
        await asyncio.to_thread(self.server.kill)

    async def freeze(self) -> None:
        self.server.pause()

    async def thaw(self) -> None:
        self.server.resume()


@asynccontextmanager
async def mqtt_rehearsal(certificate: Path) -> AsyncIterator[MqttRehearsal]:
    with mosquitto(certificate, "ada", "bot") as server:
        rehearsal = MqttRehearsal(server, certificate)
        await rehearsal.listen()
        try:
            yield rehearsal
        finally:
            await rehearsal.deafen()
