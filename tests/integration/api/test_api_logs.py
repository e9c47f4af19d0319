"""`GET /logs`: what was logged, filtered, counted and paged."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from prx.core.ids import iso_utc, now_utc
from prx.runtime.logging import LogOutput, get_logger
from prx.runtime.logs.book import LogBook
from tests.integration.api.api_harness import Api


@pytest.fixture(autouse=True)
def logging(tmp_path: Path, book: LogBook) -> Iterator[None]:
    """Log into the book, as the daemon does."""
    with (tmp_path / "console").open("wb") as console:
        output = LogOutput("trace", "json", console.fileno(), keep=book.put)
        try:
            yield
        finally:
            output.close()


async def found(api: Api, query: str = "") -> list[str]:
    """Return what the lines of the test's own module say."""
    answer = (await api.get(f"/api/v1/logs?module=test&{query}")).json()
    assert list(answer) == ["entries", "total"]
    return [entry["message"] for entry in answer["entries"]]


async def test_an_entry_has_the_documented_fields_and_its_own_context(api: Api) -> None:
    get_logger("agent::loop").info("Tool call completed: shell (45ms)", session_id="sess_abc123", count=3)
    answer = await api.get("/api/v1/logs?module=agent")
    assert answer.headers["Content-Type"] == "application/json"
    [entry] = answer.json()["entries"]
    assert list(entry) == ["timestamp", "level", "module", "message", "session_id", "count"]
    assert entry["timestamp"].endswith("Z")
    assert len(entry["timestamp"]) == len("2026-03-21T10:15:30.123Z")
    assert (entry["level"], entry["module"]) == ("info", "agent::loop")
    assert entry["message"] == "Tool call completed: shell (45ms)"
    assert (entry["session_id"], entry["count"]) == ("sess_abc123", 3)
    assert answer.json()["total"] == 1


async def test_a_level_brings_it_and_everything_above_and_info_is_the_default(api: Api) -> None:
    log = get_logger("test")
    for write in (log.trace, log.debug, log.info, log.warning, log.error):
        write(write.__name__)
    names = ["trace", "debug", "info", "warning", "error"]
    for number, level in enumerate(["trace", "debug", "info", "warn", "error"]):
        assert await found(api, f"level={level}") == names[number:]
    assert await found(api) == names[2:]


async def test_a_module_is_matched_by_whole_segments(api: Api) -> None:
    for module in ("test", "test::inner", "testing", "other::test"):
        get_logger(module).info(module)
    assert await found(api) == ["test", "test::inner"]
    answer = await api.get("/api/v1/logs?module=test::inner")
    assert [entry["module"] for entry in answer.json()["entries"]] == ["test::inner"]


async def test_newest_last_and_total_counts_what_is_not_on_the_page(api: Api) -> None:
    for number in range(250):
        get_logger("test").info(f"{number}")
    answer = (await api.get("/api/v1/logs?module=test")).json()
    assert [int(entry["message"]) for entry in answer["entries"]] == list(range(150, 250))
    assert answer["total"] == 250
    assert await found(api, "limit=3&offset=10") == ["237", "238", "239"]
    assert len(await found(api, "limit=500")) == 250
    assert await found(api, "limit=5&offset=248") == ["0", "1"]
    assert await found(api, "offset=250") == []


async def test_since_is_a_time_or_how_long_ago(api: Api) -> None:
    get_logger("test").info("now")
    for since in ("90s", "30m", "1h", "2d", iso_utc(now_utc() - timedelta(minutes=1)), "2020-01-01"):
        assert await found(api, f"since={since}") == ["now"], since
    assert await found(api, f"since={iso_utc(now_utc() + timedelta(minutes=1))}") == []


OF_BOTH = [
    ("level=warning", "level", "'warn'"),
    ("limit=0", "limit", "greater than or equal to 1"),
    ("limit=501", "limit", "less than or equal to 500"),
    ("limit=ten", "limit", "whole number"),
    ("limit=1.0", "limit", "whole number"),
    ("limit=1&limit=2", "limit", "given 2 times"),
    ("since=yesterday", "since", "ISO 8601"),
    ("module=", "module", "at least 1 character"),
]
OF_A_PAGE = [
    ("offset=-1", "offset", "whole number"),
    ("offset=9999999999", "offset", "whole number"),
    ("stream=perhaps", "stream", '"true" or "false"'),
    ("stream=1", "stream", '"true" or "false"'),
]


@pytest.mark.parametrize(
    ("path", "query", "field", "said"),
    [("/api/v1/logs", *case) for case in OF_BOTH + OF_A_PAGE]
    + [("/api/v1/logs/stream", *case) for case in OF_BOTH],
)
async def test_a_wrong_parameter_is_named(api: Api, path: str, query: str, field: str, said: str) -> None:
    refused = await api.get(f"{path}?{query}")
    assert refused.status == 400
    assert refused.error["code"] == "bad_request"
    [detail] = refused.error["details"]["errors"]
    assert detail["field"] == field
    assert said in detail["message"]


async def test_it_needs_the_scope_and_head_has_no_body(api: Api) -> None:
    token, _ = api.tokens.create("other", scopes=["tools:read"])
    for path in ("/api/v1/logs", "/api/v1/logs/stream"):
        refused = await api.get(path, token=token)
        assert (refused.status, refused.error["details"]) == (403, {"scope": "logs:read"})
        assert (await api.get(path, token=None)).status == 401
        head = await api.call("HEAD", path)
        assert (head.status, head.body) == (200, b"")


async def test_lines_of_failing_requests_carry_their_id(api: Api) -> None:
    await api.get("/api/v1/plugins/absent", headers={"X-Request-Id": "mine-1"})
    answer = (await api.get("/api/v1/logs?level=debug&module=api::edge")).json()
    refused: list[Any] = [entry for entry in answer["entries"] if entry.get("request_id") == "mine-1"]
    assert [entry["code"] for entry in refused] == ["not_found"]
