"""Slack's Socket Mode: envelopes that come again until they are acknowledged."""

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiohttp import WSMsgType, web

from tests.support.platforms.server import Json

if TYPE_CHECKING:
    from tests.support.platforms.slack import SlackServer

_MAX_ATTEMPTS: Final = 3


class Sockets:
    """The connections of one app. An envelope goes to one of them, and to another one when that takes too long."""

    def __init__(self, server: "SlackServer") -> None:
        self.is_off = False
        """Whether Socket Mode is off in the app's settings."""
        self.redelivers_after_secs = 3.0
        self.connections: list[web.WebSocketResponse] = []
        self.opened = 0
        self.acknowledged: list[str] = []
        """By the ids of their envelopes, in the order of the acks."""
        self.delivered: list[Json] = []
        """Each envelope that was sent, those that were sent again once more."""
        self._server = server
        self._tickets: set[str] = set()
        self._last = 0
        self._waiting: dict[str, Json] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def unacknowledged(self) -> int:
        """How many envelopes nobody acknowledged."""
        return len(self._waiting)

    def new_url(self) -> str:
        """Return where to connect to, once."""
        self.opened += 1
        ticket = f"ticket-{self.opened}"
        self._tickets.add(ticket)
        return f"{self._server.url.replace('http', 'ws', 1)}/link?ticket={ticket}&app_id=A1"

    def deliver(self, payload: Json) -> None:
        """Send an event to the app, now or as soon as it is connected."""
        self._last += 1
        ident = f"envelope-{self._last}"
        self._waiting[ident] = {
            "envelope_id": ident,
            "type": "events_api",
            "payload": payload,
            "accepts_response_payload": False,
            "retry_attempt": 0,
            "retry_reason": "",
        }
        if self.connections:
            self._later(ident)

    def forget(self) -> None:
        """Give up what nobody acknowledged, as Slack does after some minutes."""
        self._waiting.clear()

    def disconnect(self, reason: str) -> None:
        """Tell each connection that it ends soon: `warning`, `refresh_requested`, `link_disabled`."""
        for connection in self.connections:
            told = {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink"}}
            self._run(self._send(connection, told))

    def stop(self) -> None:
        """End what goes on in the background; envelopes wait for the next connection."""
        for task in self._tasks:
            task.cancel()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection."""
        connection = web.WebSocketResponse(autoping=False)
        await connection.prepare(request)
        if request.query.get("ticket") not in self._tickets:
            await connection.close(code=1008)
            return connection
        self._tickets.discard(request.query["ticket"])
        info = {"num_connections": 1, "connection_info": {"app_id": "A1"}, "debug_info": {"host": "applink"}}
        await self._send(connection, {"type": "hello", **info})
        self.connections.append(connection)
        for ident in list(self._waiting):
            self._later(ident)
        try:
            async for message in connection:
                await self._server.going()
                if message.type == WSMsgType.PING:
                    await connection.pong(message.data)
                elif message.type == WSMsgType.TEXT:
                    self._acknowledge(json.loads(message.data))
        finally:
            self.connections.remove(connection)
        return connection

    def _acknowledge(self, said: Json) -> None:
        if self._waiting.pop(said["envelope_id"], None) is not None:
            self.acknowledged.append(said["envelope_id"])

    def _later(self, ident: str) -> None:
        self._run(self._deliver(ident))

    async def _deliver(self, ident: str) -> None:
        while ident in self._waiting and self.connections:
            envelope = self._waiting[ident]
            if envelope["retry_attempt"] > _MAX_ATTEMPTS:
                del self._waiting[ident]
                return
            self.delivered.append(dict(envelope))
            await self._send(self.connections[-1], envelope)
            envelope |= {"retry_attempt": envelope["retry_attempt"] + 1, "retry_reason": "timeout"}
            await asyncio.sleep(self.redelivers_after_secs)

    async def _send(self, connection: web.WebSocketResponse, message: Json) -> None:
        await self._server.going()
        with suppress(ConnectionError):
            await connection.send_str(json.dumps(message))

    def _run(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
