"""Who is heard over a channel, and what they can ask for there."""

from typing import Any

import pytest

from prx.channels.commands import command_of, help_text
from prx.channels.policy import Judgement, judge, welcomes
from prx.config.channels import ChannelConfig
from prx.core.channel import IncomingMessage
from prx.core.skill import Skill


def message(text: str = "hello", **about: Any) -> IncomingMessage:
    return IncomingMessage(**{"conversation": "c", "sender": "42", "text": text} | about)


ALLOWED = {"allowed_users": ("42",)}
GROUP = {"is_group": True}


@pytest.mark.parametrize(
    ("table", "about", "judgement"),
    [
        ({}, {}, "stranger"),
        ({"pairing": False}, {}, "unwelcome"),
        (ALLOWED, {}, "heard"),
        ({"allowed_users": ("*",)}, {}, "heard"),
        ({"allowed_users": ("@ada",)}, {"sender_aliases": ("@ada",)}, "heard"),
        ({"allowed_users": ("ada",)}, {"sender_name": "ada"}, "stranger"),
        ({"allowed_users": ("4",)}, {}, "stranger"),
        ({"dm_policy": "open"}, {}, "heard"),
        (ALLOWED | {"dm_policy": "disabled"}, {}, "ignored"),
        (ALLOWED, GROUP, "heard"),
        ({}, GROUP, "unwelcome"),
        ({"group_policy": "open"}, GROUP, "heard"),
        (ALLOWED | {"group_policy": "disabled"}, GROUP, "ignored"),
        (ALLOWED | {"mention_only": True}, GROUP, "ignored"),
        (ALLOWED | {"mention_only": True}, GROUP | {"mentioned": True}, "heard"),
        (ALLOWED | {"mention_only": True}, {}, "heard"),
        (ALLOWED, {"is_bot": True}, "ignored"),
        (ALLOWED | {"listen_to_bots": True}, {"is_bot": True}, "heard"),
        ({"listen_to_bots": True}, {"is_bot": True}, "unwelcome"),
        ({"allowed_users": ("*",), "listen_to_bots": True}, {"is_bot": True, "is_self": True}, "ignored"),
    ],
)
def test_each_policy_has_its_say(table: dict[str, Any], about: dict[str, Any], judgement: Judgement) -> None:
    assert judge(message(**about), ChannelConfig.model_validate(table)) == judgement


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({}, ["in private"]),  # they may ask to be let in
        ({"pairing": False}, []),
        (ALLOWED | {"mention_only": True}, ["in private", "in groups"]),
        (ALLOWED | {"group_policy": "disabled"}, ["in private"]),
        ({"group_policy": "open", "dm_policy": "disabled"}, ["in groups"]),
    ],
)
def test_who_may_talk_or_ask_to_is_welcome_before_they_said_anything(
    table: dict[str, Any], where: list[str]
) -> None:
    config = ChannelConfig.model_validate(table)
    places = {"in private": False, "in groups": True}
    found = [name for name, is_group in places.items() if welcomes("42", config, is_group=is_group)]
    assert found == where


@pytest.mark.parametrize(
    ("text", "mentioned", "command"),
    [
        ("/new", False, "new"),
        ("  /STOP \n", False, "stop"),
        ("/status now", False, "status"),
        ("/help@prx_bot", True, "help"),
        ("/help@other_bot", False, None),
        ("/newest", False, None),
        ("/deploy", False, None),
        ("new", False, None),
        ("/", False, None),
    ],
)
def test_commands_are_told_from_everything_else(text: str, mentioned: bool, command: str | None) -> None:  # noqa: FBT001
    assert command_of(message(text, mentioned=mentioned)) == command


def test_help_lists_what_skills_are_triggered_by() -> None:
    skills = [Skill("review", "builtin", "Reviews code", ("/review", "review this"))]
    assert help_text(skills).splitlines()[-2:] == ["/review Reviews code", "review this Reviews code"]
