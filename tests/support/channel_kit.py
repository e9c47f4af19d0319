"""What every adapter has to do, as tests that run against its platform: a real server, or an emulator.

A test module of an adapter makes a `Rehearsal` of its platform and inherits the tests:

    class TestIrc(AdapterContract):
        @pytest.fixture
        async def rehearsal(self, tmp_path: Path) -> AsyncIterator[Rehearsal]:
            async with ngircd(tmp_path) as server:
                yield IrcRehearsal(server)
"""

import asyncio
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from prx.agent.providers.builtin import BuiltinProvider
from prx.channels.manager import Channels
from prx.channels.registry import ADAPTERS
from prx.channels.services import ChannelServices
from prx.config.channels import ChannelConfig
from prx.config.schema import Config
from prx.core.channel import Capabilities, ChannelAdapter, Connect, IncomingMessage, OutgoingMessage
from prx.core.tool import CallContext, ToolResult, ToolSpec
from prx.runtime.bus import Bus
from prx.runtime.supervisor import Supervisor
from tests.support.channel_daemon import living
from tests.support.channels import Heard, keeping
from tests.support.logs import logged
from tests.support.waiting import PATIENCE_SECS, eventually

NAME = "one"
_FOR_EVERYBODY = {"allowed_users": ["*"], "stream_mode": "off"}
_RESTARTS = 24
_MORE_AT_REST = 2


class Echo:
    """A tool that gives back what it is given."""

    spec = ToolSpec(
        "echo",
        "Gives back a text",
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        "builtin",
    )

    async def call(self, arguments: Mapping[str, Any], _context: CallContext) -> ToolResult:
        return ToolResult(arguments["text"])


class Rehearsal(ABC):
    """A platform with one user on it, who writes to the bot and reads what it says."""

    kind: str
    """The `type` of its channels."""
    keeps_messages: bool = True
    """Whether what is written while the bot is away reaches it later."""

    @property
    def connect(self) -> Connect:
        """What makes its adapters."""
        return ADAPTERS[self.kind]

    @abstractmethod
    def table(self) -> dict[str, Any]:
        """Return the keys of a channel that works."""

    @abstractmethod
    def wrong_table(self) -> dict[str, Any]:
        """Return the same with a token that the platform does not know; its text has `hunter2` in it."""

    @abstractmethod
    async def say(self, text: str) -> None:
        """Have the user write to the bot, in private."""

    @abstractmethod
    async def read(self) -> str:
        """Return the next message of the bot that the user sees, as it is shown; waits for it."""

    @abstractmethod
    async def stop(self) -> None:
        """Have the server end at once, as by SIGKILL."""

    @abstractmethod
    async def start(self) -> None:
        """Have it be back."""

    @abstractmethod
    async def freeze(self) -> None:
        """Have the server answer nothing, as by SIGSTOP."""

    @abstractmethod
    async def thaw(self) -> None:
        """Have it go on."""


class Setting:
    """Channels of one configuration, connected to the platform, and everything that came over them."""

    def __init__(self, rehearsal: Rehearsal, services: ChannelServices, heard: Heard) -> None:
        self.configured: dict[str, ChannelConfig] = {}
        self.heard = heard
        heard.config = lambda: self.configured
        self.supervisor = Supervisor(chance=lambda: 0.0)
        self.channels = Channels(
            lambda: self.configured,
            self.supervisor,
            Bus(),
            services,
            adapters={rehearsal.kind: rehearsal.connect},
        )
        self._kind = rehearsal.kind

    async def configure(self, table: dict[str, Any] | None) -> None:
        """Take over a table, as an operator's file has it; None takes the channel away."""
        tables = {} if table is None else {NAME: {"type": self._kind} | table}
        old = self.configured
        self.configured = Config.model_validate({"channels_config": tables}).channels_config
        await self.channels.reconfigured(old)

    async def becomes(self, *statuses: str, within_secs: float = PATIENCE_SECS) -> None:
        await eventually(lambda: self.channels.get(NAME).status in statuses, within_secs=within_secs)

    @property
    def adapter(self) -> ChannelAdapter:
        adapter = self.channels._channels[NAME].adapter
        assert adapter is not None
        return adapter

    @property
    def can(self) -> Capabilities:
        return self.adapter.capabilities

    async def comes(self, text: str) -> IncomingMessage:
        """Return the message that says `text`, once it has come."""
        await eventually(lambda: text in self.texts)
        return next(message for message in self.heard.messages if message.text == text)

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.heard.messages]

    async def aclose(self) -> None:
        await self.channels.aclose()
        await self.supervisor.aclose()


@asynccontextmanager
async def set_up(rehearsal: Rehearsal, directory: Path) -> AsyncIterator[Setting]:
    """Have channels, none of them connected."""
    heard = Heard()
    async with keeping(directory, heard) as services:
        setting = Setting(rehearsal, services, heard)
        try:
            yield setting
        finally:
            await setting.aclose()


class AdapterContract:
    """The tests. A subclass brings the fixture `rehearsal`."""

    @pytest.fixture
    async def setting(self, rehearsal: Rehearsal, tmp_path: Path) -> AsyncIterator[Setting]:
        async with set_up(rehearsal, tmp_path) as setting:
            yield setting

    @pytest.fixture
    async def connected(self, rehearsal: Rehearsal, setting: Setting) -> Setting:
        await setting.configure(rehearsal.table())
        await setting.becomes("connected")
        return setting

    async def test_what_is_written_comes_once_and_is_answered_where_it_was_written(
        self, rehearsal: Rehearsal, connected: Setting
    ) -> None:
        await rehearsal.say("hello, 世界 👋🏽")
        message = await connected.comes("hello, 世界 👋🏽")
        assert message.conversation
        assert message.sender
        assert not message.is_group
        assert not message.is_self
        assert not message.is_bot
        await connected.adapter.send(
            OutgoingMessage(
                conversation=message.conversation, text="and <you> & _me_?", thread=message.thread
            )
        )
        assert await rehearsal.read() == "and <you> & _me_?"
        assert connected.texts == ["hello, 世界 👋🏽"]

    async def test_a_text_of_the_greatest_length_arrives_whole(
        self, rehearsal: Rehearsal, connected: Setting
    ) -> None:
        await rehearsal.say("long")
        message = await connected.comes("long")
        unit = {"chars": "é", "utf16": "👋", "bytes": "é"}[connected.can.unit]
        width = {"chars": 1, "utf16": 2, "bytes": 2}[connected.can.unit]
        text = unit * (min(connected.can.max_length, 20_000) // width)
        await connected.adapter.send(OutgoingMessage(conversation=message.conversation, text=text))
        assert await rehearsal.read() == text

    async def test_the_platform_answers_a_probe(self, connected: Setting) -> None:
        health = await connected.channels.health(NAME)
        assert health.healthy, health.error
        assert health.latency_secs is not None

    async def test_a_wrong_token_is_told_without_it_and_not_tried_again(
        self, rehearsal: Rehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.wrong_table())
        await setting.becomes("disconnected")
        state = setting.channels.get(NAME)
        assert state.error
        assert "hunter2" not in state.error
        unit = setting.supervisor.find(f"channel.{NAME}")
        assert unit is not None
        assert (unit.state, unit.restarts) == ("failed", 0)
        await setting.configure(rehearsal.table())
        await setting.becomes("connected")

    async def test_a_server_that_ends_is_noticed_and_found_again(
        self, rehearsal: Rehearsal, connected: Setting
    ) -> None:
        await rehearsal.stop()
        await connected.becomes("reconnecting")
        assert connected.channels.get(NAME).error
        await rehearsal.start()
        # Not after the whole of the pause: it knocks while it waits.
        await connected.becomes("connected")
        await rehearsal.say("still there?")
        await connected.comes("still there?")

    async def test_a_server_that_falls_silent_is_noticed(
        self, rehearsal: Rehearsal, connected: Setting
    ) -> None:
        assert connected.can.idle_limit_secs <= min(15.0, 2 * connected.can.cadence_secs)
        await rehearsal.freeze()
        try:
            await connected.becomes("reconnecting", within_secs=connected.can.idle_limit_secs + 5)
        finally:
            await rehearsal.thaw()

    async def test_what_was_written_while_it_was_away_comes_once(
        self, rehearsal: Rehearsal, connected: Setting
    ) -> None:
        await rehearsal.say("before")
        await connected.comes("before")
        await connected.configure(None)
        await rehearsal.say("meanwhile")
        await connected.configure(rehearsal.table())
        await connected.becomes("connected")
        await rehearsal.say("after")
        await connected.comes("after")
        kept = ["meanwhile"] if rehearsal.keeps_messages else []
        assert connected.texts == ["before", *kept, "after"]

    async def test_many_restarts_leave_nothing_behind(self, rehearsal: Rehearsal, connected: Setting) -> None:
        # The first ones may warm up what stays.
        for _ in range(2):
            await self._restart(connected)
        before = _held()
        for _ in range(_RESTARTS):
            await self._restart(connected)
        # One that has just connected may not wait for messages yet, which takes some; a leak is one for each restart.
        most = tuple(then + _MORE_AT_REST for then in before)
        await eventually(lambda: all(now <= then for now, then in zip(_held(), most, strict=True)))
        await rehearsal.say("and now?")
        await connected.comes("and now?")
        assert connected.texts == ["and now?"]

    async def test_no_level_of_the_log_tells_what_is_said(
        self, rehearsal: Rehearsal, setting: Setting, tmp_path: Path
    ) -> None:
        with logged(tmp_path) as log:
            await setting.configure(rehearsal.table())
            await setting.becomes("connected")
            await rehearsal.say("for-the-bot-alone")
            message = await setting.comes("for-the-bot-alone")
            answer = OutgoingMessage(
                conversation=message.conversation, text="for-ada-alone", thread=message.thread
            )
            await setting.adapter.send(answer)
            assert await rehearsal.read() == "for-ada-alone"
            await setting.configure(None)
        assert log.messages("supervisor")
        told = str(log.events())
        assert "for-the-bot-alone" not in told
        assert "for-ada-alone" not in told

    async def test_it_finds_nothing_wrong_where_nothing_is(
        self, rehearsal: Rehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.table() | {"enabled": False})
        findings = await rehearsal.connect(NAME, setting.configured[NAME]).diagnose()
        assert findings
        assert [finding.what for finding in findings if finding.remedy is not None] == []

    async def test_it_finds_a_wrong_token_and_says_what_to_do(
        self, rehearsal: Rehearsal, setting: Setting
    ) -> None:
        await setting.configure(rehearsal.wrong_table() | {"enabled": False})
        findings = await rehearsal.connect(NAME, setting.configured[NAME]).diagnose()
        assert any(finding.remedy for finding in findings)
        assert "hunter2" not in str(findings)

    async def test_a_message_is_answered_by_the_agent_with_a_tool(
        self, rehearsal: Rehearsal, tmp_path: Path
    ) -> None:
        provider = BuiltinProvider(lambda _: None, list)
        async with living(tmp_path, rehearsal.kind, rehearsal.connect, provider) as daemon:
            daemon.bench.configure(provider={"name": provider.name})
            with daemon.bench.points.tools.offering([Echo()]):
                await daemon.configure(NAME, **rehearsal.table() | _FOR_EVERYBODY)
                assert daemon.channels.get(NAME).status == "connected"
                await rehearsal.say('/echo {"text": "from the tool"}')
                assert await rehearsal.read() == "from the tool"
                await rehearsal.say('/echo {"text": "\\u001b[31mred\\u001b[0m \\u0000\\u0007\\ufffeend"}')
                assert await rehearsal.read() == "red end"
                await eventually(lambda: not daemon.inbox._lanes)

    async def _restart(self, setting: Setting) -> None:
        unit = setting.supervisor.find(f"channel.{NAME}")
        assert unit is not None
        await setting.supervisor.restart(unit.name)
        await setting.becomes("connected")


def _held() -> tuple[int, int, int]:
    """Return how many tasks, threads and open files there are.

    The threads of the loop's own executor are left out: it has a few at most, and when it makes the next one is chance.
    """
    threads = [thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")]
    return len(asyncio.all_tasks()), len(threads), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
