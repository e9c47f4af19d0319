"""Channels between the configuration, the supervisor and a platform on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prx.channels.manager import Channels
from prx.channels.services import ChannelServices
from prx.config.channels import ChannelConfig
from prx.core.errors import ConflictError
from prx.runtime.bus import Bus, Subscription
from prx.runtime.supervisor import Supervisor
from tests.support.channels import Heard, keeping
from tests.support.line_channel import PLAIN, TOKEN, LinePlatform, connecting_to, line_platform
from tests.support.waiting import eventually


class Setting:
    """Channels, and the configuration that a test changes as an operator would."""

    def __init__(self, platform: LinePlatform, services: ChannelServices, *, connects: bool = True) -> None:
        self.configured: dict[str, ChannelConfig] = {}
        self.platform = platform
        self.bus = Bus()
        self.supervisor = Supervisor(chance=lambda: 0.0)
        self.channels = Channels(
            lambda: self.configured,
            self.supervisor,
            self.bus,
            services,
            adapters={"line": connecting_to(platform)},
            connects=connects,
        )

    async def configure(self, **tables: dict[str, Any]) -> None:
        """Take over the channels that these tables describe, and wait until each has come to something."""
        old, self.configured = (
            self.configured,
            {
                name: ChannelConfig.model_validate({"type": "line", "token": TOKEN} | table)
                for name, table in tables.items()
            },
        )
        await self.channels.reconfigured(old)
        await eventually(lambda: not {"connecting", "reconnecting"} & set(self.statuses.values()))

    @property
    def statuses(self) -> dict[str, str]:
        return {state.name: state.status for state in self.channels.list()}

    async def aclose(self) -> None:
        await self.channels.aclose()
        await self.supervisor.aclose()


@pytest.fixture
async def platform() -> AsyncIterator[LinePlatform]:
    async with line_platform() as platform:
        yield platform


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def services(tmp_path: Path, heard: Heard) -> AsyncIterator[ChannelServices]:
    async with keeping(tmp_path, heard) as services:
        yield services


@pytest.fixture
async def setting(platform: LinePlatform, services: ChannelServices) -> AsyncIterator[Setting]:
    setting = Setting(platform, services)
    yield setting
    await setting.aclose()


async def test_what_is_to_be_done_about_a_channel_can_be_copied_whatever_its_name_is(
    setting: Setting,
) -> None:
    await setting.configure(**{"my chat": {"type": "carrier pigeon"}})
    [problem] = setting.supervisor.problems()
    assert 'correct channels_config."my chat".type' in problem.reason
    assert problem.action.endswith("`prx channel restart 'my chat'`")
    await setting.configure(**{"my chat": {"enabled": False}})
    with pytest.raises(ConflictError, match=r'set channels_config\."my chat"\.enabled to true'):
        setting.channels.restart("my chat")


async def test_only_those_that_changed_connect_anew(setting: Setting) -> None:
    await setting.configure(one={}, two={})
    assert setting.statuses == {"one": "connected", "two": "connected"}
    two = setting.channels.get("two")
    one = setting.channels.get("one")
    await setting.configure(one={"room": "lobby"}, two={})
    assert setting.channels.get("two") == two
    assert setting.channels.get("one") != one
    assert (setting.platform.logins, setting.platform.connected) == (3, 2)


async def test_who_may_talk_changes_without_a_new_connection(setting: Setting) -> None:
    await setting.configure(one={})
    one = setting.channels.get("one")
    await setting.configure(one={"allowed_users": ("ada",), "group_policy": "open", "mention_only": True})
    assert setting.channels.get("one") == one


async def test_channels_come_and_go_with_their_tables(setting: Setting) -> None:
    await setting.configure(one={}, two={"enabled": False})
    assert setting.statuses == {"one": "connected", "two": "disabled"}
    await setting.configure(one={"enabled": False}, two={})
    assert setting.statuses == {"one": "disabled", "two": "connected"}
    await setting.configure()
    assert setting.statuses == {}
    await eventually(lambda: setting.platform.connected == 0)
    assert setting.supervisor.status() == []


async def test_a_wrong_token_is_not_tried_again_until_it_is_mended(setting: Setting) -> None:
    await setting.configure(one={"token": "wrong"})
    state = setting.channels.get("one")
    assert (state.status, state.error, setting.platform.logins) == ("disconnected", "Invalid bot token", 1)
    (problem,) = setting.supervisor.problems()
    assert (problem.unit, problem.reason, problem.action) == (
        "channel.one",
        "Invalid bot token",
        "remove the cause, then `prx channel restart one`",
    )
    await setting.configure(one={})
    assert (setting.statuses, setting.supervisor.problems()) == ({"one": "connected"}, [])


async def test_a_connection_that_is_lost_comes_back_and_is_told_on_the_bus(setting: Setting) -> None:
    with setting.bus.subscribed(_of_channels) as heard:
        await setting.configure(one={})
        assert await _taken(heard) == ("prx.channel.connected", {"channel": "one"})
        setting.platform.drop_all()
        reason = "the platform closed the connection"
        assert await _taken(heard) == ("prx.channel.error", {"channel": "one", "reason": reason})
        assert await _taken(heard) == ("prx.channel.disconnected", {"channel": "one"})
        await eventually(lambda: setting.channels.get("one").error == reason)
        assert (setting.channels.get("one").status, setting.channels.connected()) == ("reconnecting", 0)
        setting.channels.restart("one")  # the operator does not wait for the pause
        assert await _taken(heard) == ("prx.channel.connected", {"channel": "one"})
    assert (setting.statuses, setting.channels.connected()) == ({"one": "connected"}, 1)


async def test_a_platform_that_falls_silent_is_not_healthy(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The platform never answers: the wait for it is only paid.
    monkeypatch.setattr("prx.channels.manager._PROBE_SECS", 0.01)
    await setting.configure(one={})
    setting.platform.answers.clear()
    health = await setting.channels.health("one")
    assert (health.healthy, health.error) == (False, "the platform did not answer within 0.01 s")


async def test_a_daemon_without_channels_connects_none(
    platform: LinePlatform, services: ChannelServices
) -> None:
    setting = Setting(platform, services, connects=False)
    await setting.configure(one={})
    assert (setting.statuses, setting.supervisor.status()) == ({"one": "disabled"}, [])
    with pytest.raises(ConflictError, match="the daemon runs with --no-channels"):
        setting.channels.restart("one")
    await setting.aclose()


async def test_a_platform_that_is_away_for_long_counts_as_disconnected_and_is_tried_all_the_same(
    setting: Setting,
) -> None:
    setting.platform.port = 1
    pauses: list[float] = []

    async def pause(secs: float) -> None:
        pauses.append(secs)
        if len(pauses) == 5:
            await asyncio.Event().wait()

    setting.supervisor._sleep = pause
    await setting.configure(one={})
    await eventually(lambda: len(pauses) == 5)
    state = setting.channels.get("one")
    assert state.status == "disconnected"
    assert (state.error or "").startswith("the platform cannot be reached (failed 5 times in a row")
    assert pauses == sorted(pauses)


async def test_messages_come_in_their_order_and_a_new_connection_goes_on_behind_the_last(
    setting: Setting, heard: Heard
) -> None:
    setting.platform.say("one")
    await setting.configure(one={})
    setting.platform.say("two", chat="lobby", mentioned=True)
    await eventually(lambda: len(heard.messages) == 2)
    await setting.configure()
    setting.platform.say("three")
    await setting.configure(one={})
    await eventually(lambda: len(heard.messages) == 3)
    assert [message.text for message in heard.messages] == ["one", "two", "three"]
    assert heard.messages[1].is_group


async def test_a_connection_without_progress_ends_although_its_task_lives(
    setting: Setting, platform: LinePlatform
) -> None:
    impatient = replace(PLAIN, idle_limit_secs=0.05)
    setting.channels._adapters = {"line": connecting_to(platform, impatient)}
    with setting.bus.subscribed(_of_channels) as heard:
        # Nothing waits for it to be connected: that is over soon.
        setting.configured = {"one": ChannelConfig.model_validate({"type": "line", "token": TOKEN})}
        await setting.channels.reconfigured({})
        assert (await _taken(heard))[0] == "prx.channel.connected"
        reason = "stalled: the connection made no progress for 0.05 s"
        assert await _taken(heard) == ("prx.channel.error", {"channel": "one", "reason": reason})


async def test_two_channels_of_one_account_are_never_connected_at_once(setting: Setting) -> None:
    await setting.configure(one={"alone": True})
    setting.configured["two"] = ChannelConfig.model_validate({"type": "line", "token": TOKEN, "alone": True})
    await setting.channels.reconfigured({"one": setting.configured["one"]})
    await eventually(lambda: setting.channels.get("two").error)
    assert setting.channels.get("two").error == (
        'channel "one" is connected with the same account: give each its own, or disable one of them'
    )
    assert (setting.platform.logins, setting.platform.connected) == (1, 1)
    await setting.configure(two={"alone": True})
    assert setting.statuses == {"two": "connected"}


def _of_channels(topic: str, _source: str) -> bool:
    return topic.startswith("prx.channel.")


async def _taken(heard: Subscription) -> tuple[str, Any]:
    event = await heard.take()
    return event.topic, event.payload
