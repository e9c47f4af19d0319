"""A chat platform as small as one can be, on a real socket, and the adapter that talks to it.

A client says `HELLO <token> <number of the last event it knows>` and hears `OK` or `BAD`. From then on events come as
`EVENT <json>`, those first that it does not know; each request (`PING`, `SAY <json>`, `EDIT <json>`, `TYPE <json>`,
`FETCH <json>`) is answered in its order with `REPLY <json>`.
"""

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, Final

from prx.channels.adapter import Adapter
from prx.config.channels import ChannelConfig
from prx.core.channel import (
    Attachment,
    Capabilities,
    ChannelContext,
    Connect,
    Finding,
    IncomingMessage,
    OutgoingMessage,
)
from prx.core.channel_errors import (
    AuthenticationError,
    FileTooLargeError,
    MarkupRefusedError,
    ThrottledError,
    UndeliverableError,
)
from prx.core.errors import UnavailableError

TOKEN = "right"  # noqa: S105  # the only one that there is
PLAIN: Final = Capabilities(
    max_length=400, unit="bytes", multiline=False, cadence_secs=60, idle_limit_secs=120
)


class LinePlatform:
    """The server. A test closes its connections, holds back its answers, or counts who came."""

    def __init__(self) -> None:
        self.port = 0
        self.logins = 0
        self.answers = asyncio.Event()
        """Cleared, nobody is answered."""
        self.answers.set()
        self.held = 0
        """How many requests wait for `answers`."""
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[str, Any]] = []
        """What clients asked for, but for pings."""
        self.refusals: deque[dict[str, Any]] = deque()
        """What is answered when the bot says something next, instead of being obeyed."""
        self.losses = 0
        """How many of the next messages are said without the bot hearing of it: the connection breaks."""
        self.said: dict[str, dict[str, Any]] = {}
        """The bot's messages, as they are now, by their id; what came again under its key is there once."""
        self.files: dict[str, bytes] = {}
        self._keys: dict[str, str] = {}
        self._clients: set[asyncio.StreamWriter] = set()
        self._following: set[asyncio.StreamWriter] = set()

    @property
    def connected(self) -> int:
        return len(self._clients)

    @property
    def texts(self) -> list[str]:
        """What the bot said, as it stands now."""
        return [each["text"] for each in self.said.values()]

    def say(self, text: str, *, user: str = "ada", chat: str | None = None, **more: Any) -> None:
        """Have somebody say something; without a `chat` to the bot alone."""
        event = {"conversation": chat or user, "sender": user, "text": text, "is_group": chat is not None}
        number = len(self.events) + 1
        self.events.append({"event_id": str(number), "message_id": f"m{number}"} | event | more)
        for writer in self._following:
            self._send_event(writer, number)

    def drop_all(self) -> None:
        for writer in self._clients:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                self.held += 1
                await self.answers.wait()
                self.held -= 1
                self._obey(writer, *line.decode().rstrip("\n").split(" ", 1))
        except ConnectionError:
            pass
        finally:
            self._clients.discard(writer)
            self._following.discard(writer)
            writer.close()

    def _obey(self, writer: asyncio.StreamWriter, verb: str, rest: str = "") -> None:
        if verb == "HELLO":
            self.logins += 1
            token, known = rest.split()
            writer.write(b"OK\n" if token == TOKEN else b"BAD\n")
            if token == TOKEN:
                self._following.add(writer)
                for number in range(int(known) + 1, len(self.events) + 1):
                    self._send_event(writer, number)
            return
        reply = self._reply(verb, json.loads(rest or "{}"))
        if verb == "SAY" and self.losses:
            self.losses -= 1
            writer.transport.abort()
            return
        writer.write(f"REPLY {json.dumps(reply)}\n".encode())

    def _send_event(self, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(f"EVENT {number} {json.dumps(self.events[number - 1])}\n".encode())

    def _reply(self, verb: str, asked: dict[str, Any]) -> dict[str, Any]:
        if verb == "PING":
            return {}
        self.requests.append((verb, asked))
        if verb == "FETCH":
            return {"content": base64.b64encode(self.files[asked["id"]]).decode()}
        if verb in ("SAY", "EDIT") and self.refusals:
            return self.refusals.popleft()
        key = asked.pop("key", None)
        if verb == "SAY" and key in self._keys:
            return {"id": self._keys[key]}
        message_id = asked.pop("id", None) or f"b{len(self.said) + 1}"
        if key is not None:
            self._keys[key] = message_id
        if verb in ("SAY", "EDIT"):
            self.said[message_id] = asked
        return {"id": message_id}


@asynccontextmanager
async def line_platform() -> AsyncIterator[LinePlatform]:
    """Serve for the length of the block, on a port of its own."""
    platform = LinePlatform()
    server = await asyncio.start_server(platform.serve, "127.0.0.1", 0)
    platform.port = server.sockets[0].getsockname()[1]
    try:
        yield platform
    finally:
        server.close()
        platform.answers.set()
        platform.drop_all()
        await server.wait_closed()


class LineAdapter(Adapter):
    """See `ChannelAdapter`."""

    def __init__(self, config: ChannelConfig, platform: LinePlatform, can: Capabilities) -> None:
        extra: dict[str, Any] = config.__pydantic_extra__ or {}
        self._token: str = extra["token"].get_secret_value()
        self.account = f"line:{sha256(self._token.encode()).hexdigest()}" if extra.get("alone") else None
        self.capabilities = can
        self._platform = platform
        self._writer: asyncio.StreamWriter | None = None
        self._replies: deque[asyncio.Future[dict[str, Any]]] = deque()

    async def run(self, context: ChannelContext) -> None:
        try:
            reader, writer = await self._login(int(await context.load_cursor() or 0))
        except OSError as error:
            raise UnavailableError("the platform cannot be reached") from error
        self._writer = writer
        pings = asyncio.create_task(self._ping())
        try:
            context.connected()
            while line := await reader.readline():
                context.alive()
                verb, _, rest = line.decode().partition(" ")
                if verb == "REPLY":
                    self._replies.popleft().set_result(json.loads(rest))
                else:
                    number, _, event = rest.partition(" ")
                    await context.receive(_incoming(json.loads(event)))
                    await context.save_cursor(number)
            raise UnavailableError("the platform closed the connection")
        except ConnectionError as error:
            raise UnavailableError("the platform closed the connection") from error
        finally:
            pings.cancel()
            self._writer = None
            writer.close()
            while self._replies:
                self._replies.popleft().cancel()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self.capabilities.cadence_secs)
            await self._ask("PING", {})

    async def _login(self, known: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._platform.port)
        writer.write(f"HELLO {self._token} {known}\n".encode())
        if await reader.readline() != b"OK\n":
            writer.close()
            raise AuthenticationError("Invalid bot token")
        return reader, writer

    async def probe(self) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._ask("PING", {})
        return loop.time() - began

    async def send(self, message: OutgoingMessage) -> str | None:
        return str((await self._ask("SAY", _outgoing(message)))["id"])

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:
        await self._ask("EDIT", {"id": message_id} | _outgoing(message))

    async def typing(self, conversation: str, thread: str | None) -> None:
        await self._ask("TYPE", {"conversation": conversation, "thread": thread})

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        content = base64.b64decode((await self._ask("FETCH", {"id": attachment.id}))["content"])
        if len(content) > max_bytes:
            raise FileTooLargeError(f"{attachment.name} has {len(content)} bytes")
        return content

    async def diagnose(self) -> Sequence[Finding]:
        try:
            _, writer = await self._login(len(self._platform.events))
        except OSError:
            return [Finding("The platform cannot be reached", "start it")]
        except AuthenticationError as error:
            return [Finding(error.message, "set the right one")]
        writer.close()
        return [Finding("The platform can be reached, and knows the token")]

    async def _ask(self, verb: str, what: dict[str, Any]) -> dict[str, Any]:
        if self._writer is None:
            raise UnavailableError("it is not connected")
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies.append(reply)
        self._writer.write(f"{verb} {json.dumps(what)}\n".encode())
        try:
            answer = await asyncio.shield(reply)
        except asyncio.CancelledError:
            if reply.cancelled():
                raise UnavailableError("the platform closed the connection") from None
            raise
        match answer.get("refused"):
            case None:
                return answer
            case "wait":
                raise ThrottledError("not so fast", retry_after_secs=answer["secs"])
            case "markup":
                raise MarkupRefusedError("what is this?")
            case "gone":
                raise UndeliverableError("there is no such chat")
            case reason:
                raise UnavailableError(str(reason))


def _incoming(event: dict[str, Any]) -> IncomingMessage:
    files = [Attachment(**each) for each in event.pop("attachments", ())]
    return IncomingMessage(**event, attachments=files)


def _outgoing(message: OutgoingMessage) -> dict[str, Any]:
    files = {each.name: base64.b64encode(each.content).decode() for each in message.files}
    return {
        "conversation": message.conversation,
        "thread": message.thread,
        "text": message.text,
        "formatted": message.formatted,
        "reply_to": message.reply_to,
        "files": files,
        "key": message.key,
    }


def connecting_to(platform: LinePlatform, can: Capabilities = PLAIN) -> Connect:
    """Return what makes adapters for channels of `platform`."""
    return lambda _name, config: LineAdapter(config, platform, can)
