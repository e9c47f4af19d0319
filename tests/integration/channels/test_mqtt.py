"""MQTT against mosquitto."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiomqtt import Client

from prx.core.channel import OutgoingMessage, UndeliverableError
from prx.core.errors import UnavailableError
from tests.support.channel_kit import NAME, AdapterContract, Rehearsal, Setting
from tests.support.servers.mosquitto import PASSWORD, mosquitto
from tests.support.servers.process import ServerProcess

pytestmark = pytest.mark.slow


class MqttRehearsal(Rehearsal):
    kind = "mqtt"

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self._listening: asyncio.Task[None] | None = None

    def table(self) -> dict[str, Any]:
        return {
            "host": "127.0.0.1", "port": self.server.port, "tls": False, "user": "bot", "password": PASSWORD,
            "allowed_users": ["*"],
        }  # fmt: skip

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
        async with asyncio.timeout(20):
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

    async def stop(self) -> None:
        await self.deafen()
        await asyncio.to_thread(self.server.kill)

    async def freeze(self) -> None:
        self.server.pause()

    async def thaw(self) -> None:
        self.server.resume()


@pytest.fixture
async def rehearsal() -> AsyncIterator[MqttRehearsal]:
    with mosquitto("ada", "bot") as server:
        rehearsal = MqttRehearsal(server)
        await rehearsal.listen()
        yield rehearsal
        await rehearsal.deafen()


class TestMqtt(AdapterContract):
    @pytest.mark.parametrize("protocol", ["5", "3.1.1"])
    async def test_the_broker_keeps_what_is_said_meanwhile_in_both_versions(
        self, rehearsal: MqttRehearsal, setting: Setting, protocol: str
    ) -> None:
        table = rehearsal.table() | {"protocol": protocol}
        await setting.configure(table)
        await setting.becomes("connected")
        await setting.configure(None)
        await rehearsal.say("meanwhile")
        await setting.configure(table)
        await setting.comes("meanwhile")

    async def test_what_could_not_be_kept_comes_again(
        self, rehearsal: MqttRehearsal, connected: Setting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refuse(*_: object) -> None:
            raise UnavailableError("the disk is full")

        with monkeypatch.context() as full:
            full.setattr(connected.heard, "receive", refuse)
            await rehearsal.say("keep this")
            await connected.becomes("reconnecting")
        connected.channels.restart(NAME)
        await connected.comes("keep this")

    async def test_who_writes_is_what_the_topic_leaves_open(
        self, rehearsal: MqttRehearsal, setting: Setting
    ) -> None:
        topics = {"topic_in": "home/+/ask/+", "topic_out": "prx/out/+/+"}
        await setting.configure(rehearsal.table() | topics)
        await setting.becomes("connected")
        await rehearsal.publish("home/kitchen/ask/ada", "what is for dinner?")
        message = await setting.comes("what is for dinner?")
        assert (message.sender, message.conversation) == ("kitchen/ada", "kitchen/ada")
        await setting.adapter.send(OutgoingMessage(conversation="kitchen/ada", text="soup"))
        assert await rehearsal.read() == "soup"
        with pytest.raises(UndeliverableError):
            await setting.adapter.send(OutgoingMessage(conversation="kitchen", text="soup"))

    async def test_objects_are_told_apart_by_their_id(
        self, rehearsal: MqttRehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.table() | {"payload": "json"})
        await setting.becomes("connected")
        for payload in ("no object", "[]", json.dumps({"text": 1}), json.dumps({"text": "hi", "id": 7})):
            await rehearsal.say(payload)
        message = await setting.comes("hi")
        assert (message.event_id, message.message_id) == ("ada 7", "7")
        await setting.adapter.send(OutgoingMessage(conversation="ada", text="ho", reply_to="7"))
        assert json.loads(await rehearsal.read()) == {"text": "ho", "reply_to": "7"}
        assert setting.texts == ["hi"]

    async def test_what_the_broker_retains_is_not_news(
        self, rehearsal: MqttRehearsal, setting: Setting
    ) -> None:
        await rehearsal.publish("prx/in/ada", "from last year", retain=True)
        await setting.configure(rehearsal.table())
        await setting.becomes("connected")
        await rehearsal.say("from now")
        await setting.comes("from now")
        assert setting.texts == ["from now"]
