"""What webhooks are told of beside the facts of the store, and where it comes from."""

from collections.abc import Mapping
from typing import Final

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
