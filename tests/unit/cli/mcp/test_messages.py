"""Messages between stdio and streamable HTTP: what one side writes the other reads."""

import json
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import decode_header_value

from prx.cli.mcp.messages import Event, era_of, newer_headers, read_stream, refusal

VERSION = "2026-07-28"


def call(name: Any) -> dict[str, Any]:
    meta = {"io.modelcontextprotocol/protocolVersion": VERSION}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "_meta": meta}}


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_name_arrives_in_its_header(name: str) -> None:
    headers = newer_headers(call(name), VERSION)
    assert decode_header_value(headers["Mcp-Name"]) == name
    assert headers["Mcp-Name"].isascii()
    assert headers["Mcp-Name"].isprintable()


def test_a_name_that_is_no_unicode_arrives_as_something_else() -> None:
    assert decode_header_value(newer_headers(call("\ud800"), VERSION)["Mcp-Name"]) is None


def test_only_a_message_that_names_a_version_is_of_the_newer_era() -> None:
    assert era_of(call("x")) == VERSION
    for params in (None, [], {}, {"_meta": None}, {"_meta": {"progressToken": 1}}):
        assert era_of({"method": "tools/call", "params": params}) is None


@given(st.lists(st.tuples(st.none() | st.integers(0, 99), st.dictionaries(st.text(), st.integers()))))
async def test_events_are_read_as_they_were_written(events: list[tuple[int | None, dict[str, Any]]]) -> None:
    written = b": ping\r\n\r\n"
    for number, message in events:
        written += b"" if number is None else b"id: %d\r\n" % number
        written += b"event: message\r\ndata: " + json.dumps(message).encode() + b"\r\n\r\n"

    async def lines() -> AsyncIterator[bytes]:
        for line in written.splitlines(keepends=True):
            yield line

    read = [event async for event in read_stream(lines())]
    assert read == [
        Event(None if number is None else str(number), None, message) for number, message in events
    ]


async def test_an_event_without_data_tells_where_the_stream_is() -> None:
    async def lines() -> AsyncIterator[bytes]:
        for line in (b"id: 7\n", b"retry: 1500\n", b"data:\n", b"\n"):
            yield line

    assert [event async for event in read_stream(lines())] == [Event("7", 1500, None)]


@given(st.binary())
def test_a_refusal_always_has_a_reason(body: bytes) -> None:
    assert refusal(body, 500)
    assert refusal(b'{"error": {"message": "no"}}', 403) == "no"
