"""Discord's gateway: sessions that live on over connections, with a replay of what a client missed."""

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSMsgType, web

from tests.support.platforms.server import Json

if TYPE_CHECKING:
    from tests.support.platforms.discord import DiscordServer

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, VOICE, RESUME, RECONNECT = 0, 1, 2, 3, 4, 6, 7
INVALID_SESSION, HELLO, ACK = 9, 10, 11
GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES = 1 << 0, 1 << 9, 1 << 12
PRIVILEGED: Final = 1 << 1 | 1 << 8 | 1 << 15
_ALL_INTENTS: Final = (1 << 26) - 1
# A client that ends its connection with one of these ends its session, too.
_ENDS_SESSION: Final = (1000, 1001)


class Session:
    """What a client identified as, and what was sent to it."""

    def __init__(self, ident: str, intents: int) -> None:
        self.ident = ident
        self.intents = intents
        self.events: list[Json] = []
        self.connection: web.WebSocketResponse | None = None

    def wants(self, event: str, data: Json) -> bool:
        if event == "MESSAGE_CREATE":
            return bool(self.intents & (GUILD_MESSAGES if "guild_id" in data else DIRECT_MESSAGES))
        return event != "GUILD_CREATE" or bool(self.intents & GUILDS)


class Gateway:
    """The gateway of one bot."""

    def __init__(self, server: "DiscordServer") -> None:
        self.heartbeat_ms = 41_250
        self.acknowledges = True
        """Whether heartbeats are answered."""
        self.sessions: dict[str, Session] = {}
        self.identified = 0
        self.resumed = 0
        self._server = server
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return self._server.url.replace("http", "ws", 1) + "/gateway"

    @property
    def connections(self) -> list[web.WebSocketResponse]:
        """Those that belong to a session now."""
        return [each.connection for each in self.sessions.values() if each.connection is not None]

    def dispatch(self, event: str, data: Json) -> None:
        """Tell each session of an event; those that are not connected hear of it when they resume."""
        for session in self.sessions.values():
            if session.wants(event, data):
                told = {
                    "op": DISPATCH,
                    "t": event,
                    "s": len(session.events) + 1,
                    "d": self._seen(session, data),
                }
                session.events.append(told)
                if session.connection is not None:
                    self._later(session.connection, told)

    def tell(self, op: int, *, data: Any = None) -> None:
        """Send something that is no event to each connection: `RECONNECT`, `INVALID_SESSION`."""
        for connection in self.connections:
            self._later(connection, {"op": op, "d": data})

    def forget_sessions(self) -> None:
        """Have no session that could be resumed."""
        self.sessions.clear()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection."""
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        await self._send(connection, {"op": HELLO, "d": {"heartbeat_interval": self.heartbeat_ms}})
        session: Session | None = None
        try:
            async for message in connection:
                await self._server.going()
                if message.type != WSMsgType.TEXT:
                    await connection.close(code=4002, message=b"Error while decoding payload.")
                    break
                session = await self._hear(connection, session, json.loads(message.data))
        finally:
            if session is not None and session.connection is connection:
                session.connection = None
                if connection.close_code in _ENDS_SESSION:
                    self.sessions.pop(session.ident, None)
        return connection

    async def _hear(
        self, connection: web.WebSocketResponse, session: Session | None, said: Json
    ) -> Session | None:
        match said["op"]:
            case 1:
                if self.acknowledges:
                    await self._send(connection, {"op": ACK})
            case 2 if session is not None:
                await connection.close(code=4005, message=b"Already authenticated.")
            case 2:
                return await self._identify(connection, said["d"])
            case 6:
                return await self._resume(connection, said["d"])
            case 3 | 4 if session is not None:
                pass
            case 3 | 4:
                await connection.close(code=4003, message=b"Not authenticated.")
            case _:
                await connection.close(code=4001, message=b"Unknown opcode.")
        return session

    async def _identify(self, connection: web.WebSocketResponse, said: Json) -> Session | None:
        intents = said.get("intents")
        if said["token"].removeprefix("Bot ") != self._server.token:
            await connection.close(code=4004, message=b"Authentication failed.")
        elif not isinstance(intents, int) or intents & ~_ALL_INTENTS:
            await connection.close(code=4013, message=b"Invalid intent(s).")
        elif intents & PRIVILEGED & ~self._server.privileged:
            await connection.close(code=4014, message=b"Disallowed intent(s).")
        elif not {"os", "browser", "device"} <= set(said.get("properties", {})):
            await connection.close(code=4002, message=b"Error while decoding payload.")
        else:
            self.identified += 1
            session = Session(f"session-{self.identified}", intents)
            session.connection = connection
            self.sessions[session.ident] = session
            await self._greet(session)
            return session
        return None

    async def _resume(self, connection: web.WebSocketResponse, said: Json) -> Session | None:
        session = self.sessions.get(said["session_id"])
        if said["token"].removeprefix("Bot ") != self._server.token:
            await connection.close(code=4004, message=b"Authentication failed.")
            return None
        if session is None:
            await self._send(connection, {"op": INVALID_SESSION, "d": False})
            return None
        if said["seq"] > len(session.events):
            await connection.close(code=4007, message=b"Invalid `seq`")
            return None
        self.resumed += 1
        session.connection = connection
        for event in session.events[said["seq"] :]:
            await self._send(connection, event)
        self._dispatch_to(session, "RESUMED", {"_trace": []})
        return session

    async def _greet(self, session: Session) -> None:
        server = self._server
        self._dispatch_to(
            session,
            "READY",
            {
                "v": 10,
                "user": server.bot,
                "session_id": session.ident,
                "user_settings": {},
                "guilds": [{"id": "100", "unavailable": True}],
                "resume_gateway_url": self.url,
                "application": {"id": server.bot["id"], "flags": 0},
                "private_channels": [],
            },
        )
        if session.wants("GUILD_CREATE", {}):
            self._dispatch_to(session, "GUILD_CREATE", _guild(server))

    def _dispatch_to(self, session: Session, event: str, data: Json) -> None:
        told = {"op": DISPATCH, "t": event, "s": len(session.events) + 1, "d": data}
        session.events.append(told)
        if session.connection is not None:
            self._later(session.connection, told)

    def _seen(self, session: Session, data: Json) -> Json:
        """Return a message as the session may read it: without the intent the texts of others are empty in guilds."""
        hidden = (
            "content" in data
            and "guild_id" in data
            and not session.intents & 1 << 15
            and data["author"]["id"] != self._server.bot["id"]
            and self._server.bot["id"] not in [user["id"] for user in data["mentions"]]
        )
        return data | {"content": "", "attachments": []} if hidden else data

    def _later(self, connection: web.WebSocketResponse, message: Json) -> None:
        task = asyncio.get_running_loop().create_task(self._send(connection, message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, connection: web.WebSocketResponse, message: Json) -> None:
        await self._server.going()
        if not connection.closed:
            # Where whom it is for is gone, it is in the session, for the next connection.
            with suppress(ConnectionError):
                await connection.send_str(json.dumps({"s": None, "t": None, **message}))


def _guild(server: "DiscordServer") -> Json:
    everyone = {
        "id": "100",
        "name": "@everyone",
        "color": 0,
        "hoist": False,
        "position": 0,
        "flags": 0,
        "permissions": "2147483647",
        "managed": False,
        "mentionable": False,
        "colors": {"primary_color": 0},
    }
    member = {"user": server.bot, "roles": [], "joined_at": "2026-09-21T14:13:20.000000+00:00", "flags": 0}
    return {
        "id": "100",
        "name": "Guild",
        "icon": None,
        "splash": None,
        "owner_id": "1",
        "features": [],
        "afk_channel_id": None,
        "afk_timeout": 300,
        "verification_level": 0,
        "mfa_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "roles": [everyone],
        "emojis": [],
        "stickers": [],
        "member_count": 1,
        "members": [member | {"deaf": False, "mute": False}],
        "channels": [server.text_channel],
        "threads": [],
        "presences": [],
        "voice_states": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
        "premium_tier": 0,
        "nsfw_level": 0,
        "preferred_locale": "en-US",
        "system_channel_flags": 0,
        "large": False,
        "unavailable": False,
        "soundboard_sounds": [],
        "premium_progress_bar_enabled": False,
        "description": None,
    }
