"""What `prx plugin info` prints of the daemon's answers, and how the arguments of a tool are read."""

import json
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.cli.plugin.call import Arguments
from prx.cli.plugin.info import _sections

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
MOMENT = "2026-03-21T10:00:00.000Z"
FULL: dict[str, Any] = {
    "name": "weather", "version": "1.2.0", "status": "loaded", "error": "the new one is bad",
    "capabilities": ["tool:get_weather"], "memory_usage_bytes": 65536, "path": "/plugins/weather", "generation": 3,
    "rolled_back": {"from": 4, "to": 3, "reason": "it failed", "at": MOMENT},
    "digest": "sha256:00", "loaded_at": MOMENT, "signature": {"key": "ed25519:k", "trusted": False},
    "manifest": {"plugin": {"description": "Tells the weather", "author": "me"}},
    "limits": {"max_fuel": None, "max_memory_mb": 64},
    "calls": {"total": 7, "failed": 2, "fuel_used": 0, "guest_ms": 1.5, "host_calls": 3, "http_requests": 1,
              "peak_memory_bytes": 131072, "bytes_in": 27, "bytes_out": 2048,
              "errors": {"timeout": 2}},
    "last_error": {"code": "timeout", "message": "took\x1b[2J too long"},
    "warnings": ["it is odd"], "skipped": {"draw": "takes a resource"},
    "cron": [
        {"name": "hourly", "schedule": "0 * * * *", "timezone": "UTC", "running": False, "next_run": MOMENT,
         "last_run": {"started": MOMENT, "ended": MOMENT, "success": False, "outcome": "no wind"}},
        {"name": "daily", "schedule": "0 0 * * *", "timezone": "UTC", "running": True, "next_run": None,
         "last_run": None},
    ],
    "events": {"delivered": 5, "failed": 0, "dropped": 1, "queued": 0},
    "permissions": {
        "required": ["memory"], "optional": [], "granted": ["log"], "covered": {}, "waiting": {"memory": []},
        "allow_with": "prx plugin grant weather memory",
        "denials": [
            {"operation": "env HOME", "count": 1, "last": MOMENT, "allow_with": "prx plugin grant weather env"},
        ],
    },
    "versions": [
        {"generation": 4, "version": "1.3.0", "digest": "sha256:11", "loaded_at": MOMENT, "status": "rolled_back",
         "reason": "it failed"},
    ],
}  # fmt: skip


@given(JSON)
def test_arguments_are_the_json_object_that_was_typed(value: object) -> None:
    if isinstance(value, dict):
        assert Arguments().convert(json.dumps(value), None, None) == value
    else:
        with pytest.raises(click.BadParameter, match="not a JSON object"):
            Arguments().convert(json.dumps(value), None, None)


@pytest.mark.parametrize("typed", ["", "{", "{'a': 1}", "[" * 100_000, "{}{}", "\udcff"])
def test_what_is_no_json_is_told(typed: str) -> None:
    with pytest.raises(click.BadParameter, match="not JSON"):
        Arguments().convert(typed, None, None)


def test_everything_that_the_api_knows_of_a_plugin_is_told() -> None:
    shown = "\n\n".join(_sections(FULL))
    words = " ".join(shown.split())
    for told in (
        "weather 1.2.0 is loaded.", "Error: the new one is bad", "Description: Tells the weather", "Author: me",
        "Brings: tool:get_weather", "Rolled back: from 4 to 3 at 2026-03-21 10:00:00Z: it failed",
        "Signed by: ed25519:k, which is not trusted", "Memory: 64.0 KiB", "Warning: it is odd",
        "Requires: memory", "Grant all of it with: prx plugin grant weather memory",
        "Refused env HOME once, last 2026-03-21T10:00:00.000Z: prx plugin grant weather env",
        "Total: 7, of which 2 failed", "Errors: timeout 2", r"Last error: timeout: took\x1b[2J too long",
        "Peak memory: 128.0 KiB", "In and out: 27 B in, 2.0 KiB out",
        "Host calls: 3, of which 1 HTTP requests", "max_fuel: none", "max_memory_mb: 64",
        "hourly 0 * * * * UTC 2026-03-21 10:00:00Z 2026-03-21 10:00:00Z failed: no wind",
        "daily 0 0 * * * UTC running now never", "delivered: 5", "dropped: 1", "draw: takes a resource",
        "4 1.3.0 rolled_back 2026-03-21 10:00:00Z 11 - - it failed",
    ):  # fmt: skip
        assert told in words, told


def test_of_a_plugin_that_does_not_run_there_is_less_to_tell() -> None:
    kept = ("name", "version", "status", "error", "capabilities", "memory_usage_bytes", "path", "generation")
    sections = list(
        _sections({key: FULL[key] for key in (*kept, "permissions")} | {"versions": [], "status": "error"})
    )
    assert sections[0].startswith("weather 1.2.0 is in error.\n")
    assert len(sections) == 2
