"""What was sent on the streams of sessions, kept for a while for clients that lost the connection and come back."""

from collections import OrderedDict
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCMessage, jsonrpc_message_adapter

from prx.mcp.server.sessions import Session

_MAX_EVENTS: Final = 8192
_MAX_BYTES: Final = 16 * 1024 * 1024

SESSION: ContextVar[Session | None] = ContextVar("SESSION", default=None)
"""Whose request is served. The SDK names streams by the ids of requests alone, which every client counts from 0."""


@dataclass(frozen=True, slots=True)
class _Event:
    session: Session | None
    stream: str
    message: bytes | None
    """As JSON; None for an event that only says where a stream begins."""


class Events(EventStore):
    """The last events of all sessions; each session sees its own."""

    def __init__(self, *, max_events: int = _MAX_EVENTS, max_bytes: int = _MAX_BYTES) -> None:
        """Keep as many and as much; older ones are forgotten."""
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._events: OrderedDict[int, _Event] = OrderedDict()
        self._bytes = 0
        self._number = 0

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """See `EventStore.store_event`."""
        body = (
            None if message is None else message.model_dump_json(by_alias=True, exclude_unset=True).encode()
        )
        self._number += 1
        self._events[self._number] = _Event(SESSION.get(), stream_id, body)
        self._bytes += len(body or b"")
        while len(self._events) > self._max_events or self._bytes > self._max_bytes:
            _, oldest = self._events.popitem(last=False)
            self._bytes -= len(oldest.message or b"")
        return str(self._number)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """See `EventStore.replay_events_after`; an event of another session is unknown."""
        number = int(last_event_id) if last_event_id.isascii() and last_event_id.isdecimal() else 0
        last = self._events.get(number)
        session = SESSION.get()
        if last is None or session is None or last.session is not session:
            return None
        later = [
            (each, event.message)
            for each, event in self._events.items()
            if each > number and event.session is session and event.stream == last.stream
        ]
        for each, body in later:
            if body is not None:
                message = jsonrpc_message_adapter.validate_json(body, by_name=False)
                await send_callback(EventMessage(message, str(each)))
        return last.stream

    def forget(self, session: Session) -> None:
        """Drop what a session that ended was told."""
        for number in [each for each, event in self._events.items() if event.session is session]:
            self._bytes -= len(self._events.pop(number).message or b"")
