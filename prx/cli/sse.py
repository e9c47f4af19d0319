"""Reads Server-Sent Events as the daemon writes them."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple


class ServerSentEvent(NamedTuple):
    """One event of a stream."""

    id: str | None
    name: str
    data: Any


def read_events(lines: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    """Yield the events of a stream; each field has one line, and the data is JSON. Comments are passed over."""
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode().rstrip("\n").partition(": ")
        if colon:
            fields[name] = value
        elif "data" in fields:
            yield ServerSentEvent(fields.get("id"), fields["event"], json.loads(fields["data"]))
            fields.clear()
