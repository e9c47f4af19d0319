"""What `prx mcp` shows of servers that are connected, and of those that are not."""

from prx.cli.mcp.listing import _sections, _table

CONNECTED = {
    "name": "files",
    "transport": "stdio",
    "status": "connected",
    "tools": ["read", "write"],
    "connected_at": "2026-11-24T08:00:00.000Z",
}
FAILED = {
    "name": "tickets",
    "transport": "http",
    "status": "needs_auth",
    "tools": [],
    "error": "it asks\x1b[2J for a login",
}


def test_the_table_has_a_row_for_each_and_the_faults_below() -> None:
    assert _table([CONNECTED, FAILED]).splitlines() == [
        "NAME     TRANSPORT  STATUS      CONNECTED             TOOLS",
        "files    stdio      connected   2026-11-24 08:00:00Z  2",
        "tickets  http       needs_auth  -                     0",
        "",
        r"tickets:  it asks\x1b[2J for a login",
    ]


def test_a_connected_server_is_told_with_its_tools_and_those_left_out() -> None:
    detail = {
        "enabled": True,
        "restarts": 1,
        "offered": {"read": "mcp__files__read"},
        "skipped": {"write": "deny_tools names it"},
        "command": "mcp-files",
        "pid": 42,
        "protocol_version": "2025-11-25",
        "server": {"name": "files", "version": "1.2"},
        "capabilities": {"tools": {}, "prompts": {}},
        "instructions": "Read before you write.",
    }
    assert "\n\n".join(_sections(CONNECTED | detail)).splitlines() == [
        "files is connected.",
        "Transport:     stdio",
        "Command:       mcp-files",
        "Process:       42",
        "Connected:     2026-11-24 08:00:00Z",
        "Server:        files 1.2",
        "Protocol:      2025-11-25",
        "Capabilities:  prompts tools",
        "Restarts:      1",
        "Instructions:  Read before you write.",
        "",
        "Tools",
        "TOOL  CALLED AS",
        "read  mcp__files__read",
        "",
        "Not offered",
        "write:  deny_tools names it",
    ]


def test_a_server_that_is_not_connected_is_told_with_the_reason() -> None:
    detail = {"enabled": False, "restarts": 0, "offered": {}, "skipped": {}, "url": "https://example.com/mcp"}
    assert "\n\n".join(_sections(FAILED | detail)).splitlines() == [
        "tickets is needs_auth.",
        r"Error:      it asks\x1b[2J for a login",
        "Transport:  http",
        "URL:        https://example.com/mcp",
        "Enabled:    not by the configuration",
        "Restarts:   0",
    ]
