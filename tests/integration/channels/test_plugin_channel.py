"""A channel that a plugin brings: the sample `plugins/relay`, a real component, against a chat service on a socket."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from prx.agent.providers.builtin import BuiltinProvider
from prx.channels.manager import Channels
from prx.channels.registry import OfferedAdapters
from prx.config.channels import ChannelConfig
from prx.config.schema import Config
from prx.core.channel import Attachment, HttpReceiver, OutgoingMessage, PushedRequest
from prx.core.channel_errors import FileTooLargeError, ThrottledError, UndeliverableError
from prx.core.errors import (
    BadRequestError,
    ConflictError,
    PermanentError,
    UnauthorizedError,
    UnavailableError,
)
from prx.core.file import File
from prx.core.tool import ToolFile, ToolResult
from tests.support.agents import Model, Tool, calling, saying
from tests.support.channel_daemon import living
from tests.support.channel_kit import NAME, AdapterContract, Echo, Rehearsal, Setting, set_up
from tests.support.channels import Heard, keeping
from tests.support.platforms.relay import TOKEN, RelayServer
from tests.support.plugin_host import PluginHost
from tests.support.python_guests import python_sample
from tests.support.rehearsals.emulated import EmulatedRehearsal
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

PLUGIN = "relay"
KEY = "the-key-of-pushes"


class RelayRehearsal(EmulatedRehearsal):
    kind = PLUGIN
    server: RelayServer

    def __init__(self, server: RelayServer, host: PluginHost) -> None:
        super().__init__()
        self.server = server
        self.host = host

    @property
    def connect(self) -> Any:
        return self.host.points.channels.get(self.kind)

    def table(self) -> dict[str, Any]:
        return {"url": self.server.url}

    def wrong_table(self) -> dict[str, Any]:
        return self.table() | {"bot": "wrong"}

    async def say(self, text: str) -> None:
        self.server.say(text)

    @property
    def shown(self) -> list[str]:
        return self.server.texts

    def install(self, version: str = "1.0.0") -> None:
        self.host.drop(
            PLUGIN,
            python_sample("relay", "prx:plugin/channel@0.2.0"),
            manifest=(
                f'[plugin]\nname = "{PLUGIN}"\nversion = "{version}"\n'
                '[[capabilities]]\ntype = "channel"\n'
                f'[permissions]\nrequired = ["http-outbound"]\nhttp_allowlist = ["{self.server.url}/"]\n'
                f'[config]\ntoken = "{TOKEN}"\nwrong_token = "hunter2"\npush_key = "{KEY}"\n'
            ),
        )


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose cache every host of the module shares."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
async def rehearsal(tmp_path: Path, compiled: Path) -> AsyncIterator[RelayRehearsal]:
    directory = tmp_path / "plugins"
    directory.mkdir()
    host = PluginHost(directory, compiled, store=tmp_path / "plugins.db")
    host.configure(allow_private_targets=True, auto_grant=("http-outbound",))
    async with RelayServer() as server:
        rehearsal = RelayRehearsal(server, host)
        rehearsal.install()
        async with host.running():
            await host.until(PLUGIN, "loaded", within_secs=120)
            yield rehearsal


@pytest.fixture
async def setting(rehearsal: RelayRehearsal, tmp_path: Path) -> AsyncIterator[Setting]:
    async with set_up(rehearsal, tmp_path) as setting:
        yield setting


@pytest.fixture
async def connected(rehearsal: RelayRehearsal, setting: Setting) -> Setting:
    await setting.configure(rehearsal.table())
    await setting.becomes("connected")
    return setting


class TestPluginChannel(AdapterContract):
    """See `AdapterContract`."""

    @pytest.fixture
    async def connected(self, connected: Setting) -> Setting:
        # As many calls at once as a plugin may have: its threads are there from now on, whatever a test counts.
        await asyncio.gather(*(connected.adapter.probe() for _ in range(4)))
        return connected


def outgoing(text: str, **more: Any) -> OutgoingMessage:
    return OutgoingMessage(conversation="ada", text=text, **more)


def pushed(*messages: dict[str, Any], key: str = KEY, method: str = "POST") -> PushedRequest:
    body = json.dumps({"messages": messages}).encode()
    return PushedRequest(method=method, path="", query=[], headers={"x-relay-key": key}, body=body)


async def test_what_a_platform_tells_comes_through_the_component_whole(
    rehearsal: RelayRehearsal, connected: Setting
) -> None:
    assert rehearsal.host.plugin(PLUGIN).capabilities == ["channel:relay"]
    rehearsal.server.say("all of it", room="garden", name="Ada", mentioned=True, reply_to="b1", bot=True)
    message = await connected.comes("all of it")
    assert (message.conversation, message.sender, message.sender_name) == ("garden", "ada", "Ada")
    assert (message.event_id, message.message_id, message.reply_to) == ("m1", "m1", "b1")
    assert (message.is_group, message.is_bot, message.is_self, message.mentioned) == (True, True, False, True)
    assert message.sent_at is not None
    assert message.sent_at.isoformat() == "2026-09-21T14:13:20+00:00"


async def test_messages_are_changed_replied_to_and_announced(
    rehearsal: RelayRehearsal, connected: Setting
) -> None:
    message_id = await connected.adapter.send(outgoing("one", formatted="**one**", reply_to="m1"))
    assert message_id == "b1"
    await connected.adapter.edit(message_id, outgoing("two"))
    await connected.adapter.typing("ada", None)
    server = rehearsal.server
    assert (server.texts, server.replies_to, server.typed) == (["two"], ["m1"], ["ada"])


async def test_what_is_sent_twice_under_one_key_is_there_once(
    rehearsal: RelayRehearsal, connected: Setting
) -> None:
    sent = [await connected.adapter.send(outgoing("hi", key=key)) for key in ("k1", "k1", "k2", None, None)]
    assert sent == ["b1", "b1", "b2", "b3", "b4"]
    assert rehearsal.server.texts == ["hi"] * 4


async def test_files_come_and_go_through_the_component(rehearsal: RelayRehearsal, connected: Setting) -> None:
    server, adapter = rehearsal.server, connected.adapter
    server.files = {"f1": b"\x00\xff" * 1000}
    server.say("see", files=[{"id": "f1", "name": "a.bin", "type": "text/csv", "size": 2000}, {"id": "f2"}])
    known, unknown = (await connected.comes("see")).attachments
    assert known == Attachment(id="f1", name="a.bin", media_type="text/csv", size=2000)
    assert unknown == Attachment(id="f2")
    assert await adapter.fetch(known, 2000) == server.files["f1"]
    with pytest.raises(FileTooLargeError, match="the file has 2000 bytes"):
        await adapter.fetch(known, 1999)
    with pytest.raises(UndeliverableError, match="no such room, message or file"):
        await adapter.fetch(unknown, 2000)
    file = File(name="größer.bin", media_type="application/octet-stream", content=b"\xfe" * (512 * 1024))
    assert adapter.capabilities.max_file_bytes == adapter.capabilities.max_download_bytes == len(file.content)
    await adapter.send(outgoing("", files=[file]))
    assert server.sent_files == [(file.name, file.media_type, file.content)]
    server.files["f2"] = file.content
    assert await adapter.fetch(unknown, 1 << 20) == file.content


async def test_what_the_component_calls_wrong_is_an_error_of_the_contract(
    rehearsal: RelayRehearsal, connected: Setting
) -> None:
    rehearsal.server.throttle(7)
    with pytest.raises(ThrottledError, match="the relay wants it slower") as throttled:
        await connected.adapter.send(outgoing("soon"))
    assert throttled.value.retry_after_secs == 7
    rehearsal.server.lost_rooms.add("ada")
    with pytest.raises(UndeliverableError, match="no such room"):
        await connected.adapter.send(outgoing("never"))
    with pytest.raises(UndeliverableError):
        await connected.adapter.edit("b9", outgoing("never"))
    await connected.configure({})
    await connected.becomes("disconnected")
    assert connected.channels.get(NAME).error == "set url in the channel's table: where the relay is"


async def test_what_is_pushed_is_taken_once_from_who_has_the_key(
    rehearsal: RelayRehearsal, connected: Setting
) -> None:
    said = {"id": "m1", "room": "ada", "user": "ada", "text": "pushed"}
    adapter = connected.adapter
    assert isinstance(adapter, HttpReceiver)
    assert (await connected.channels.pushed(NAME, pushed(said))).status == 204
    assert connected.texts == ["pushed"]
    rehearsal.server.say("pushed")  # and told again by the poll
    rehearsal.server.say("and then")
    await connected.comes("and then")
    assert connected.texts == ["pushed", "and then"]
    with pytest.raises(UnauthorizedError, match="does not have the relay's key"):
        await adapter.pushed(pushed(said, key="guessed"))
    with pytest.raises(BadRequestError, match="messages are posted"):
        await adapter.pushed(pushed(said, method="GET"))


async def test_a_message_from_nobody_is_left_out_and_the_others_come(
    rehearsal: RelayRehearsal, connected: Setting
) -> None:
    rehearsal.server.say("whose?", user="")
    rehearsal.server.say("mine")
    await connected.comes("mine")
    assert connected.texts == ["mine"]


async def test_a_secret_in_the_table_of_a_channel_is_refused_with_where_it_belongs(
    rehearsal: RelayRehearsal, setting: Setting
) -> None:
    await setting.configure(rehearsal.table() | {"bot_token": "hunter2"})
    await setting.becomes("disconnected")
    error = setting.channels.get(NAME).error
    assert error is not None
    assert error.startswith("channels_config.one.bot_token is a secret, which plugins never see: put it into")
    assert "hunter2" not in error
    nested = configured(nested={"api_key": "hunter2"})
    with pytest.raises(PermanentError, match="nested is a secret"):
        rehearsal.connect(NAME, nested)


def configured(**table: Any) -> ChannelConfig:
    """Return a table as the configuration has it."""
    tables = {NAME: table | {"type": PLUGIN}}
    return Config.model_validate({"channels_config": tables}).channels_config[NAME]


async def test_two_channels_that_are_alike_are_one_account(rehearsal: RelayRehearsal) -> None:
    def account(**table: Any) -> Any:
        return rehearsal.connect(NAME, configured(**table)).account

    assert account(url="http://a", bot="x") == account(bot="x", url="http://a", allowed_users=["ada"])
    assert account(url="http://a", bot="x") != account(url="http://a", bot="y")


@asynccontextmanager
async def following(rehearsal: Rehearsal, host: PluginHost, directory: Path) -> AsyncIterator[Setting]:
    """Have channels that follow what plugins offer, as the daemon has them."""
    heard = Heard()
    async with keeping(directory, heard) as services:
        setting = Setting(rehearsal, services, heard)
        setting.channels = Channels(
            lambda: setting.configured,
            setting.supervisor,
            host.bus,
            services,
            adapters=OfferedAdapters(host.points.channels),
        )
        with host.points.channels.listening(setting.channels.adapter_changed):
            yield setting
        await setting.aclose()


async def test_a_channel_goes_and_comes_with_its_plugin_and_loses_no_message(
    rehearsal: RelayRehearsal, tmp_path: Path
) -> None:
    host = rehearsal.host
    async with following(rehearsal, host, tmp_path) as setting:
        await setting.configure(rehearsal.table())
        await setting.becomes("connected")
        rehearsal.server.say("on the first version")
        await setting.comes("on the first version")

        first = setting.adapter
        rehearsal.install("1.1.0")
        await eventually(lambda: host.plugin(PLUGIN).version == "1.1.0")
        await eventually(lambda: setting.adapter is not first)
        await setting.becomes("connected")
        rehearsal.server.say("on the second version")
        await setting.comes("on the second version")

        await host.catalogue.disable(PLUGIN)
        await setting.becomes("disconnected")
        error = setting.channels.get(NAME).error
        assert error is not None
        assert error.startswith('this PRX has no adapter for channels of the type "relay"')
        rehearsal.server.say("while it was disabled")
        await host.catalogue.enable(PLUGIN)
        await setting.becomes("connected")
        await setting.comes("while it was disabled")

        (host.directory / PLUGIN / "plugin.toml").unlink()
        (host.directory / PLUGIN / "plugin.wasm").unlink()
        (host.directory / PLUGIN).rmdir()
        await setting.becomes("disconnected")
        rehearsal.server.say("while it was gone")
        rehearsal.install("1.2.0")
        await setting.becomes("connected")
        await setting.comes("while it was gone")
        assert setting.texts == [
            "on the first version",
            "on the second version",
            "while it was disabled",
            "while it was gone",
        ]


async def test_in_quarantine_a_channel_is_away_and_comes_back_with_the_reload_that_ends_it(
    rehearsal: RelayRehearsal, tmp_path: Path
) -> None:
    host = rehearsal.host
    async with following(rehearsal, host, tmp_path) as setting:
        await setting.configure(rehearsal.table())
        await setting.becomes("connected")
        for _ in range(5):
            with pytest.raises(UnavailableError, match="cannot take this now"):
                await setting.channels.pushed(
                    NAME, pushed({"text": "of nobody, which the sample does not expect"})
                )
        await host.until(PLUGIN, "quarantined", "its last words on stderr")
        await setting.becomes("reconnecting")
        assert "is in quarantine until" in str(setting.channels.get(NAME).error)
        rehearsal.server.say("meanwhile")
        await host.catalogue.reload(PLUGIN)
        await setting.comes("meanwhile")


async def test_an_answer_goes_out_after_a_reload_in_between(
    rehearsal: RelayRehearsal, tmp_path: Path
) -> None:
    host, server = rehearsal.host, rehearsal.server
    provider = BuiltinProvider(lambda _: None, list)
    async with living(tmp_path, PLUGIN, rehearsal.connect, provider) as daemon:
        daemon.bench.configure(provider={"name": provider.name})
        daemon.channels._adapters = OfferedAdapters(host.points.channels)
        with (
            daemon.bench.points.tools.offering([Echo()]),
            host.points.channels.listening(daemon.channels.adapter_changed),
        ):
            await daemon.configure(NAME, **rehearsal.table())
            rehearsal.server.say('/echo {"text": "one"}')
            await eventually(lambda: server.texts == ["one"])
            rehearsal.install("1.1.0")
            rehearsal.server.say('/echo {"text": "two"}')
            await eventually(lambda: host.plugin(PLUGIN).version == "1.1.0")
            rehearsal.server.say('/echo {"text": "three"}')
            await eventually(lambda: server.texts == ["one", "two", "three"])
            assert server.typed
            await eventually(lambda: not daemon.inbox._lanes)


async def test_the_agent_reads_a_file_that_came_and_sends_one_that_a_tool_made(
    rehearsal: RelayRehearsal, tmp_path: Path
) -> None:
    server = rehearsal.server
    server.files = {"f1": b"a,b"}
    drawn = ToolFile("", "image/png", base64.b64encode(b"a picture").decode())
    model = Model(calling(("draw", "{}")), saying("here it is"))
    async with living(tmp_path, PLUGIN, rehearsal.connect, model) as daemon:
        tool = Tool("draw", lambda *_: ToolResult("drawn", files=[drawn]))
        with daemon.bench.points.tools.offering([tool]):
            await daemon.configure(NAME, **rehearsal.table() | {"stream_mode": "off"})
            server.say("plot this", files=[{"id": "f1", "name": "t.csv", "type": "text/csv", "size": 3}])
            await eventually(lambda: len(server.texts) == 2)
            await eventually(lambda: not daemon.inbox._lanes)
    asked = "plot this\n\n[file t.csv (text/csv, 3 bytes)]\n```\na,b\n```"
    assert model.asked[0].messages[-1].content == asked
    assert server.texts == ["here it is", ""]
    assert server.sent_files == [("image.png", "image/png", b"a picture")]


async def test_a_plugin_cannot_take_the_place_of_another_adapter(rehearsal: RelayRehearsal) -> None:
    host = rehearsal.host
    connect = host.points.channels.get(PLUGIN)
    await host.catalogue.disable(PLUGIN)
    with host.points.channels.offering(PLUGIN, connect, "PRX itself"):
        with pytest.raises(ConflictError, match='channel type "relay" is already offered by PRX itself'):
            await host.catalogue.enable(PLUGIN)
        assert host.points.channels.get(PLUGIN) is connect


async def test_a_channel_stays_connected_when_another_type_comes_or_goes(
    rehearsal: RelayRehearsal, tmp_path: Path
) -> None:
    async with following(rehearsal, rehearsal.host, tmp_path) as setting:
        await setting.configure(rehearsal.table())
        await setting.becomes("connected")
        unit = setting.supervisor.find(f"channel.{NAME}")
        setting.channels.adapter_changed("another")
        await setting.channels.health(NAME)
        assert setting.supervisor.find(f"channel.{NAME}") == unit
