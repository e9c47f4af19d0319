"""Commands that users send in a chat. What is none of these goes to the agent, triggers of skills among them."""

import re
from collections.abc import Sequence
from typing import Final, Literal, get_args

from prx.core.channel import IncomingMessage
from prx.core.session import Session
from prx.core.skill import Skill

Command = Literal["new", "stop", "status", "help", "pair"]

_COMMAND: Final = re.compile(r"/(?P<name>[a-z]{1,16})(?P<bot>@\S{1,64})?(?:\s|$)", re.ASCII | re.IGNORECASE)
_MAX_TRIGGERS: Final = 50

HELP: Final = """\
/new begins another conversation
/stop ends the answer that is being made
/status tells how this conversation is
/help shows this"""


def command_of(message: IncomingMessage) -> Command | None:
    """Return the command that a message is; `/new@bot` is one where the platform says that this bot is meant."""
    match = _COMMAND.match(message.text.strip())
    if match is None or (match["bot"] is not None and not message.mentioned):
        return None
    name = match["name"].lower()
    return next((command for command in get_args(Command) if command == name), None)


def help_text(skills: Sequence[Skill]) -> str:
    """Return what `/help` answers."""
    triggers = [f"{trigger} {skill.description}" for skill in skills for trigger in skill.triggers]
    if not triggers:
        return HELP
    return "\n".join([HELP, "", "What a message can begin with:", *triggers[:_MAX_TRIGGERS]])


def status_text(channel: str, session: Session | None) -> str:
    """Return what `/status` answers."""
    if session is None or session.status == "terminated":
        return f"Connected over {channel}. Your next message begins a conversation."
    used, count = session.token_usage, session.turn_count
    return (
        f"Connected over {channel}. This conversation, {session.id}, is {session.status}: "
        f"{count} answer{'' if count == 1 else 's'}, {used.input} tokens in, {used.output} out."
    )
