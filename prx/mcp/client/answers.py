"""Answers over HTTP, read as far as they are wanted: JSON, and streams of events."""

from collections.abc import AsyncGenerator
from typing import Any, Final, NamedTuple

import httpx2

from prx.mcp.client.requests import LostError, TooLargeError

_MAX_BYTES: Final = 8 * 1024 * 1024


class BrokenAnswerError(LostError):
    """The answer ended before it was whole."""


class Event(NamedTuple):
    """One event of a stream."""

    kind: str
    id: str
    data: bytes
    pause_secs: float | None
    """How long the server wants to be left alone before the stream is taken up again."""


def media_type(response: httpx2.Response) -> str:
    """Return what an answer says that it is, without parameters."""
    content_type: str = response.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower()


async def body_of(response: httpx2.Response) -> bytes:
    """Return the whole body.

    Raises:
        TooLargeError: it has more than 8 MiB.
        BrokenAnswerError: it breaks off.
    """
    parts, size = [], 0
    try:
        async for part in response.aiter_bytes():
            size += len(part)
            if size > _MAX_BYTES:
                raise TooLargeError(f"the server's answer has more than {_MAX_BYTES} bytes", 0)
            parts.append(part)
    except httpx2.HTTPError as error:
        raise BrokenAnswerError(f"its answer broke off: {type(error).__name__}") from error
    return b"".join(parts)


async def events_of(response: httpx2.Response) -> AsyncGenerator[Event, None]:
    """Yield the events of a stream.

    Raises:
        TooLargeError: one has more than 8 MiB.
        httpx2.HTTPError: the stream breaks off.
    """
    try:
        async for event in httpx2.EventSource(response, max_event_size=_MAX_BYTES):
            pause_secs = None if event.retry is None else event.retry / 1000
            yield Event(event.event, event.id or "", event.data.encode(), pause_secs)
    except httpx2.SSEError as error:
        raise TooLargeError(f"the server's stream cannot be read: {error}", 0) from error


def is_answer_to(value: Any, number: Any) -> bool:
    """Tell whether a message, or one of several, answers the request `number`."""
    messages = value if isinstance(value, list) else [value]
    return any(
        isinstance(each, dict) and "method" not in each and str(each.get("id")) == str(number)
        for each in messages
    )
