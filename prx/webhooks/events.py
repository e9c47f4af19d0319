"""The events that webhooks can ask for, and where each comes from."""

from collections.abc import Mapping
from typing import Final

EVENTS: Final = (
    "session.created",
    "session.terminated",
    "message.received",
    "message.sent",
    "tool.executed",
    "plugin.loaded",
    "plugin.error",
    "plugin.quarantined",
    "channel.connected",
    "channel.disconnected",
    "mcp.connected",
    "mcp.disconnected",
    "config.changed",
    "error.occurred",
)
ALL: Final = "*"
ALIASES: Final[Mapping[str, str]] = {"session.completed": "session.terminated"}
"""Other names under which an event may be asked for; what is sent has its own name."""
TEST_EVENT: Final = "hook.test"
"""What a test delivery is called. Nobody can ask for it, and nobody need: it goes to the one hook that is tested."""

OF_TOPICS: Final[Mapping[str, str]] = {
    "prx.tool.after_execute": "tool.executed",
    "prx.plugin.loaded": "plugin.loaded",
    "prx.plugin.error": "plugin.error",
    "prx.plugin.quarantined": "plugin.quarantined",
    "prx.channel.connected": "channel.connected",
    "prx.channel.disconnected": "channel.disconnected",
    "prx.mcp.connected": "mcp.connected",
    "prx.mcp.disconnected": "mcp.disconnected",
    "prx.lifecycle.config_reloaded": "config.changed",
}
"""What the bus tells.

The facts of sessions and messages are in the store: who writes them puts these events in the outbox. `error.occurred`
is each new problem of `/status`.
"""


def canonical(name: str) -> str:
    """Return the event's own name.

    Raises:
        ValueError: nothing is called so; says what there is.
    """
    name = ALIASES.get(name, name)
    if name not in EVENTS and name != ALL:
        raise ValueError(f"no such event; the events are {', '.join((*EVENTS, *ALIASES))}, or {ALL} for all")
    return name
