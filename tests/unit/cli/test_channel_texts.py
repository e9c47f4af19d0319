"""What `prx channel` shows of channels that are connected, and of those that are not."""

from prx.cli.channel import _about, _table

CONNECTED = {
    "name": "chat",
    "status": "connected",
    "connected_at": "2026-11-24T08:00:00.000Z",
    "active_sessions": 3,
}
FAILED = {"name": "mail", "status": "disconnected", "error": "Invalid\x1b[2J token"}


def test_the_table_has_a_row_for_each_and_the_faults_below() -> None:
    assert _table([CONNECTED, FAILED]).splitlines() == [
        "NAME  STATUS        CONNECTED             SESSIONS",
        "chat  connected     2026-11-24 08:00:00Z  3",
        "mail  disconnected  -                     -",
        "",
        r"mail:  Invalid\x1b[2J token",
    ]


def test_one_channel_is_told_with_what_its_platform_answered() -> None:
    assert _about(CONNECTED | {"health": {"healthy": True, "latency_ms": 45}}) == [
        ("Connected", "2026-11-24 08:00:00Z"),
        ("Sessions", "3 active"),
        ("Platform", "answered within 45 ms"),
    ]
    health = {"healthy": False, "error": "Invalid token"}
    assert _about(FAILED | {"health": health}) == [("Not healthy", "Invalid token")]
