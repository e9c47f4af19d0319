"""One connection to Discord's gateway: the handshake, the heartbeat, and what its closing means."""

import asyncio
import json
import random
from typing import Any, Final

from aiohttp import ClientWebSocketResponse, WSMsgType

from prx.channels.adapters.discord.progress import Progress
from prx.channels.adapters.discord.rest import ANSWER_SECS, INVALID_TOKEN
from prx.channels.upholding import object_of
from prx.core.channel import ChannelContext
from prx.core.channel_errors import AuthenticationError
from prx.core.errors import PermanentError, PrxError, UnavailableError

DISPATCH, RECONNECT = 0, 7
_HEARTBEAT, _IDENTIFY, _RESUME, _INVALID_SESSION, _HELLO = 1, 2, 6, 9, 10
GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1 << 9, 1 << 12, 1 << 15

LEAVE: Final = 4000
"""How a connection is closed so that its session lives on; 1000 and 1001 would end it."""
CADENCE_SECS: Final = 6.0
"""Discord asks for a heartbeat each 41 s or so, and takes them more often: a dead connection is noticed by them."""
_REFUSED_SESSION: Final = (4007, 4009)
_NO_INTENT: Final = (
    "Discord does not let this bot read messages: allow the Message Content Intent in the developer portal "
    "(your application, Bot, Privileged Gateway Intents), or set message_content to false"
)


class Gateway:
    """What is said over one connection."""

    def __init__(self, socket: ClientWebSocketResponse, progress: Progress) -> None:
        """Say nothing yet; `progress` follows what is heard."""
        self._socket = socket
        self._progress = progress

    async def greet(self, token: str, *, reads_all: bool) -> None:
        """Go on with the session that there was, or ask for one."""
        async with asyncio.timeout(ANSWER_SECS):
            hello = await self.hear()
        if hello.get("op") != _HELLO:
            raise UnavailableError("what answers at the gateway's address is not Discord")
        if self._progress.session is None:
            await self._identify(token, reads_all=reads_all)
        else:
            session = {"session_id": self._progress.session, "seq": self._progress.seq}
            await self._say(_RESUME, {"token": token, **session})

    async def next(self, context: ChannelContext, token: str, *, reads_all: bool) -> dict[str, Any]:
        """Return the next event, or that Discord wants another connection (`RECONNECT`); answers the rest.

        Whether it says anything at all is the context's to watch, once it is connected.

        Raises:
            PrxError: the connection ended; see `ChannelAdapter.run`.
        """
        while True:
            said = await self.hear()
            context.alive()
            match said.get("op"):
                case 0 | 7:
                    return said
                case 1:
                    await self.beat()
                case 9 if said.get("d"):
                    return {"op": RECONNECT}
                case 9:
                    self._progress.session = None
                    # Discord asks for a pause of one to five seconds.
                    await asyncio.sleep(1 + random.random())  # noqa: S311  # it guards nothing
                    await self._identify(token, reads_all=reads_all)

    async def beat(self) -> None:
        """Send a heartbeat."""
        await self._say(_HEARTBEAT, self._progress.seq)

    async def hear(self) -> dict[str, Any]:
        """Return what Discord says next."""
        while True:
            message = await self._socket.receive()
            match message.type:
                case WSMsgType.TEXT:
                    said = object_of(message.data, "Discord")
                    if said.get("s") is not None:
                        self._progress.seq = said["s"]
                    return said
                case WSMsgType.PING:
                    await self._socket.pong(message.data)
                case WSMsgType.CLOSE | WSMsgType.CLOSING | WSMsgType.CLOSED | WSMsgType.ERROR:
                    raise self._closed()

    async def _identify(self, token: str, *, reads_all: bool) -> None:
        intents = GUILD_MESSAGES | DIRECT_MESSAGES | (MESSAGE_CONTENT if reads_all else 0)
        properties = {"os": "linux", "browser": "prx", "device": "prx"}
        await self._say(_IDENTIFY, {"token": token, "intents": intents, "properties": properties})

    async def _say(self, op: int, data: Any) -> None:
        async with asyncio.timeout(ANSWER_SECS):
            await self._socket.send_str(json.dumps({"op": op, "d": data}))

    def _closed(self) -> PrxError:
        code = self._socket.close_code
        if code in _REFUSED_SESSION:
            self._progress.session = None
        match code:
            case 4004:
                return AuthenticationError(INVALID_TOKEN)
            case 4014:
                return PermanentError(_NO_INTENT)
            case 4010 | 4011 | 4012 | 4013:
                return PermanentError(f"Discord refuses how this version of PRX connects (code {code})")
            case _:
                return UnavailableError(f"Discord closed the connection ({code or 'without a code'})")
