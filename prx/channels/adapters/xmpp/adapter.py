"""A user of an XMPP server."""

import asyncio
import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from slixmpp import JID
from slixmpp.exceptions import IqError, IqTimeout, PresenceError, XMPPError
from slixmpp.jid import InvalidJID
from slixmpp.xmlstream.xmlstream import NotConnectedError

from prx.channels.adapter import Adapter
from prx.channels.adapters.xmpp.stream import Stream, logged_in
from prx.channels.addressing import addressed
from prx.config.platforms.xmpp import XmppConfig
from prx.core.channel import Capabilities, ChannelContext, Finding, IncomingMessage, OutgoingMessage, Server
from prx.core.channel_errors import UndeliverableError
from prx.core.errors import PermanentError, PrxError, UnavailableError
from prx.runtime.logging import get_logger

_CADENCE_SECS: Final = 2.0
_ANSWER_SECS: Final = 10.0
_JOIN_SECS: Final = 15.0
_TYPING_SECS: Final = 20.0
_MAX_WAITING: Final = 1000
_HELLO: Final = (
    "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)

_log = get_logger("channel::xmpp")


class XmppAdapter(Adapter):
    """See `ChannelAdapter`. The server keeps what is written while nobody is there, and confirms by a ping."""

    capabilities = Capabilities(
        max_length=20_000,
        unit="bytes",
        markup="styling",
        edits=True,
        typing_secs=_TYPING_SECS,
        cadence_secs=_CADENCE_SECS,
        idle_limit_secs=2 * _CADENCE_SECS,
    )

    def __init__(self, config: XmppConfig) -> None:
        """Open nothing yet."""
        self.account = f"xmpp:{config.jid.lower()}"
        self._config = config
        if config.host is not None:
            self.server = self._server_at(config.host, config.port, tls=config.direct_tls)
        self._stream: Stream | None = None
        self._rooms = frozenset(JID(room.split(" ")[0]).bare for room in config.rooms)

    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""
        async with logged_in(self._config, "prx") as stream:
            waiting: asyncio.Queue[Any] = asyncio.Queue(_MAX_WAITING)

            def put(message: Any) -> None:
                try:
                    waiting.put_nowait(message)
                except asyncio.QueueFull:
                    stream.end(UnavailableError("more came than could be kept"))

            stream.add_event_handler("message", put)
            work = [
                asyncio.create_task(self._serve(stream, waiting, context)),
                asyncio.create_task(self._ping(stream, context)),
            ]
            self._stream = stream
            if self.server is None and (peer := stream.peer()) is not None:
                self.server = self._server_at(*peer)  # where it expects TLS, its protest is an answer
            try:
                with _translated():
                    await self._enter(stream)
                context.connected()
                await asyncio.wait({stream.ended, *work}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._stream = None
                for task in work:
                    task.cancel()
                outcomes = await asyncio.gather(*work, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome
            raise await stream.ended

    async def probe(self) -> float:
        """See `ChannelAdapter.probe`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await _round_trip(self._connected())
        return loop.time() - began

    async def send(self, message: OutgoingMessage) -> str | None:
        """See `ChannelAdapter.send`."""
        return await self._put(message, None)

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:
        """See `ChannelAdapter.edit`."""
        await self._put(message, message_id)

    async def typing(self, conversation: str, thread: str | None) -> None:  # noqa: ARG002  # there are none
        """See `ChannelAdapter.typing`."""
        with _translated():
            stanza = self._stanza(self._connected(), conversation)
            stanza["chat_state"] = "composing"
            stanza.send()

    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""
        try:
            async with logged_in(self._config, "prx-doctor") as stream:
                await _round_trip(stream)
        except PermanentError as error:
            return [Finding(error.message, "set what it names right, then run this again")]
        except PrxError as error:
            return [Finding(error.message, "look at host, port and the account's domain")]
        return [Finding(f"the server lets {self._config.jid} in")]

    def _server_at(self, host: str, port: int, *, tls: bool = False) -> Server:
        domain = html.escape(self._config.jid.partition("@")[2])
        return Server(host, port, tls=tls, hello=_HELLO.format(domain).encode())

    def _connected(self) -> Stream:
        if self._stream is None:
            raise UnavailableError("it is not connected")
        return self._stream

    async def _enter(self, stream: Stream) -> None:
        """Be there for everybody, and in the rooms; one that does not let the bot in is told in the log."""
        for room in self._config.rooms:
            name, _, password = room.partition(" ")
            try:
                await stream.plugin["xep_0045"].join_muc_wait(
                    JID(name), self._config.nick, password=password or None, maxstanzas=0, timeout=_JOIN_SECS
                )
            except (PresenceError, TimeoutError, InvalidJID) as error:
                reason = str(error) or "it did not answer in time"
                _log.warning("a room does not let the bot in", room=name, reason=reason)
        stream.send_presence()

    async def _serve(self, stream: Stream, waiting: asyncio.Queue[Any], context: ChannelContext) -> None:
        while True:
            message = self._read(stream, await waiting.get())
            if message is not None:
                await context.receive(message)

    async def _ping(self, stream: Stream, context: ChannelContext) -> None:
        while True:
            await asyncio.sleep(_CADENCE_SECS)
            stream.is_silent = True
            try:
                await _round_trip(stream)
            except UnavailableError as error:
                stream.end(error)
                return
            stream.is_silent = False
            context.alive()

    def _read(self, stream: Stream, stanza: Any) -> IncomingMessage | None:
        kind, sender, text = stanza["type"], stanza["from"], stanza["body"]
        is_group = kind == "groupchat"
        # What a room repeats of its past is not new; a change of what was said says nothing new.
        is_old = is_group and stanza.get_plugin("delay", check=True) is not None
        if kind not in ("chat", "normal", "groupchat") or not text or is_old or stanza["replace"]["id"]:
            return None
        if is_group:
            return self._read_in_room(stream, stanza)
        in_room = sender.bare in self._rooms  # a private message of somebody in a room
        return IncomingMessage(
            conversation=sender.full if in_room else sender.bare,
            sender=sender.full if in_room else sender.bare,
            sender_name=sender.resource if in_room else sender.node,
            text=text,
            event_id=_event_id(stanza),
            message_id=stanza["id"] or None,
        )

    def _read_in_room(self, stream: Stream, stanza: Any) -> IncomingMessage | None:
        room, nick = stanza["from"].bare, stanza["from"].resource
        if not nick or nick == self._config.nick:
            return None
        # Only rooms that are not anonymous tell who somebody is; the name there can be anybody's.
        jid = stream.plugin["xep_0045"].get_jid_property(JID(room), nick, "jid")
        text, is_mentioned = addressed(stanza["body"], self._config.nick)
        return IncomingMessage(
            conversation=room,
            sender=JID(jid).bare if jid else f"{room}/{nick}",
            sender_name=nick,
            text=text,
            event_id=_event_id(stanza),
            message_id=stanza["id"] or None,
            is_group=True,
            mentioned=is_mentioned,
        )

    def _stanza(self, stream: Stream, conversation: str) -> Any:
        try:
            to = JID(conversation)
        except InvalidJID as error:
            raise UndeliverableError(f'"{conversation}" is no address of XMPP') from error
        if not to.node:
            raise UndeliverableError(f'"{conversation}" is no address of XMPP')
        return stream.make_message(mto=to, mtype="groupchat" if conversation in self._rooms else "chat")

    async def _put(self, message: OutgoingMessage, instead_of: str | None) -> str:
        stream = self._connected()
        with _translated():
            stanza = self._stanza(stream, message.conversation)
            stanza["id"] = stream.new_id()
            stanza["body"] = message.formatted or message.text
            if instead_of is not None:
                stanza["replace"]["id"] = instead_of
            else:
                stanza["chat_state"] = "active"
                # By these apps know what they have already, so that it is not shown twice.
                stanza["id"] = message.key or stanza["id"]
                stanza["origin_id"]["id"] = stanza["id"]
            stanza.send()
            await _round_trip(stream)
        return str(stanza["id"])


async def _round_trip(stream: Stream) -> None:
    """Have the server answer; it has seen by then what was sent before."""
    with _translated(), suppress(IqError):  # one that knows no pings says so, which is an answer
        await stream.plugin["xep_0199"].send_ping(JID(stream.boundjid.host), timeout=_ANSWER_SECS)


@contextmanager
def _translated() -> Iterator[None]:
    """Have what the library raises be errors of the contract."""
    try:
        yield
    except (IqTimeout, TimeoutError) as error:
        raise UnavailableError(f"the server did not answer within {_ANSWER_SECS:g} s") from error
    except (XMPPError, NotConnectedError) as error:
        raise UnavailableError(f"the connection to the server ended: {error}") from error


def _event_id(stanza: Any) -> str | None:
    """Return what a message is known by: the server's number for it, or the sender's."""
    given = stanza.get_plugin("stanza_id", check=True)
    if given is not None and given["id"]:
        return f"{given['by']} {given['id']}"
    return f"{stanza['from'].full} {stanza['id']}" if stanza["id"] else None
