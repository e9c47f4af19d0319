"""MQTT against mosquitto."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prx.core.channel import OutgoingMessage
from prx.core.channel_errors import UndeliverableError
from prx.core.errors import UnavailableError
from tests.support.certificates import certificate
from tests.support.channel_kit import NAME, AdapterContract, Setting
from tests.support.rehearsals.mqtt import MqttRehearsal, mqtt_rehearsal
from tests.support.servers.mosquitto import CLOSED

pytestmark = pytest.mark.slow
__all__ = ["certificate"]


@pytest.fixture
async def rehearsal(certificate: Path) -> AsyncIterator[MqttRehearsal]:
    async with mqtt_rehearsal(certificate) as rehearsal:
        yield rehearsal


class TestMqtt(AdapterContract):
    async def test_an_answer_that_the_broker_does_not_let_the_bot_give_is_told_of(
        self, rehearsal: MqttRehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.table() | {"topic_out": f"{CLOSED}/+"})
        await setting.becomes("connected")
        with pytest.raises(UndeliverableError, match="does not let the bot write closed/ada: Not authorized"):
            await setting.adapter.send(OutgoingMessage(conversation="ada", text="psst"))
        assert setting.channels.get(NAME).status == "connected"

    async def test_a_topic_that_was_another_before_is_not_answered_any_more(
        self, rehearsal: MqttRehearsal, setting: Setting
    ) -> None:
        table = rehearsal.table() | {"client_id": "always-the-same"}
        await setting.configure(table)
        await setting.becomes("connected")
        await rehearsal.publish("prx/in/ada", "first")
        await setting.comes("first")
        await setting.configure(table | {"topic_in": "prx/ask/+"})
        await setting.becomes("connected")
        await rehearsal.publish("prx/in/ada", "on the old topic")
        await rehearsal.publish("prx/ask/ada", "on the new one")
        await setting.comes("on the new one")
        assert setting.texts == ["first", "on the new one"]

    async def test_a_broker_that_ends_is_told_in_plain_words(
        self, rehearsal: MqttRehearsal, connected: Setting
    ) -> None:
        await rehearsal.stop()
        await connected.becomes("reconnecting")
        assert connected.channels.get(NAME).error == "the broker closed the connection"

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
        for payload in (
            "no object",
            "[]",
            "[" * 50_000,
            json.dumps({"text": 1}),
            json.dumps({"text": "hi", "id": 7}),
        ):
            await rehearsal.say(payload)
        message = await setting.comes("hi")
        assert (message.event_id, message.message_id) == ("ada 7", "7")
        await setting.adapter.send(OutgoingMessage(conversation="ada", text="ho", reply_to="7", key="k"))
        assert json.loads(await rehearsal.read()) == {"text": "ho", "reply_to": "7", "id": "k"}
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

    async def test_tls_is_spoken_and_the_server_has_to_prove_who_it_is(
        self, rehearsal: MqttRehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.tls_table())
        await setting.becomes("connected")
        await rehearsal.say("nobody listens")
        await setting.comes("nobody listens")
        await setting.configure(None)
        await setting.configure(rehearsal.tls_table() | {"tls_ca": None})
        await setting.becomes("reconnecting")
        assert "tls_ca" in (setting.channels.get(NAME).error or "")
