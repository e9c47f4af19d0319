"""A user of an IRC network."""

import asyncio
import re
from collections.abc import Sequence
from itertools import count
from typing import Final

from prx.channels.adapter import Adapter
from prx.channels.adapters.irc.connection import Connection, connected
from prx.channels.adapters.irc.lines import Line, lowered, unformatted, written
from prx.channels.adapters.irc.pace import Pace
from prx.channels.adapters.irc.registration import Registered, register
from prx.channels.addressing import addressed
from prx.config.platforms.irc import IrcConfig
from prx.core.channel import Capabilities, ChannelContext, Finding, IncomingMessage, OutgoingMessage, Server
from prx.core.channel_errors import UndeliverableError
from prx.core.errors import PermanentError, PrxError, UnavailableError
from prx.runtime.logging import get_logger

_REGISTRATION_SECS: Final = 15.0
_ANSWER_SECS: Final = 10.0
_ROOM_SIGNS: Final = ("#", "&", "+", "!")
# No such nick, no such channel, cannot send to it, too many targets.
_UNDELIVERED: Final = frozenset({"401", "403", "404", "407", "411", "412"})
_NOT_JOINED: Final = frozenset({"403", "405", "407", "437", "471", "473", "474", "475", "476", "477", "489"})
_ACCOUNT: Final = "account:"
_NO_ACCOUNTS: Final = (
    "The server tells nobody's account (no account-tag): "
    f"what begins with {_ACCOUNT} in allowed_users lets nobody in"
)
_NICK_EVERY_SECS: Final = 60.0

_log = get_logger("channel::irc")


class IrcAdapter(Adapter):
    """See `ChannelAdapter`. The server confirms each line that is sent by answering a ping behind it."""

    # A server passes lines of 512 bytes on, with the sender's whole address and the target in them.
    capabilities = Capabilities(
        max_length=350, unit="bytes", multiline=False, cadence_secs=5.0, idle_limit_secs=10.0
    )

    def __init__(self, config: IrcConfig) -> None:
        """Open nothing yet."""
        self.account = f"irc:{lowered(config.nick)}@{config.server}:{config.port}"
        self.server = Server(config.server, config.port, tls=config.tls, hello=written("PING", "prx"))
        self._config = config
        self._nick = config.nick
        self._connection: Connection | None = None
        self._pace = Pace(config.line_burst, config.line_interval_ms / 1000)
        self._numbers = count()
        self._pongs: dict[str, asyncio.Future[None]] = {}
        self._sending = asyncio.Lock()
        self._target: str | None = None
        """Whom a line is being sent to."""
        self._refusal: str | None = None

    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""
        async with connected(self._config) as connection:
            self._nick, capabilities = await _registered(connection, self._config, self._config.nick)
            if _is_in_vain(self._config, capabilities):
                _log.warning(_NO_ACCOUNTS)
            self._connection = connection
            pinging = asyncio.create_task(self._ping(connection))
            try:
                self._enter(connection)
                context.connected()
                while (line := await connection.read()) is not None:
                    context.alive()
                    await self._take(line, context)
                raise UnavailableError("the server closed the connection")
            finally:
                self._connection = None
                pinging.cancel()
                await asyncio.gather(pinging, return_exceptions=True)
                for pong in self._pongs.values():
                    pong.cancel()

    async def probe(self) -> float:
        """See `ChannelAdapter.probe`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._pong(self._connected())
        return loop.time() - began

    async def send(self, message: OutgoingMessage) -> None:
        """See `ChannelAdapter.send`."""
        target = message.conversation
        if not target or target.startswith(":") or re.search(r"[\s,\0]", target):
            raise UndeliverableError(f'"{target}" is neither a nick nor a channel of IRC')
        async with self._sending:
            await self._pace.turn()
            connection = self._connected()
            self._target, self._refusal = lowered(target), None
            try:
                connection.write("PRIVMSG", target, message.text)
                await self._pong(connection)
            finally:
                self._target = None
            if self._refusal is not None:
                raise UndeliverableError(f"{target}: {self._refusal}")

    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""
        where = f"{self._config.server}:{self._config.port}"
        try:
            async with connected(self._config) as connection:
                doctor = await _registered(connection, self._config, f"{self._config.nick}-doctor"[:20])
        except PermanentError as error:
            return [Finding(error.message, "set what it names right, then run this again")]
        except PrxError as error:
            return [Finding(error.message, f"make sure that {where} is the server, and that it runs")]
        findings = [Finding(f"{where} lets the bot in")]
        if _is_in_vain(self._config, doctor.capabilities):
            findings.append(
                Finding(_NO_ACCOUNTS, "allow these users by their nicks, or by nick, user and host")
            )
        if not self._config.rooms:
            findings.append(Finding("It joins no IRC channel: it answers private messages alone"))
        return findings

    def _connected(self) -> Connection:
        if self._connection is None:
            raise UnavailableError("it is not connected")
        return self._connection

    def _enter(self, connection: Connection) -> None:
        if self._config.nickserv_password is not None:
            password = self._config.nickserv_password.get_secret_value()
            connection.write("PRIVMSG", "NickServ", f"IDENTIFY {password}")
        for room in self._config.rooms:
            connection.write("JOIN", *room.split(" "))

    async def _ping(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        while True:
            await asyncio.sleep(self.capabilities.cadence_secs)
            connection.write("PING", "alive")
            if lowered(self._nick) != lowered(self._config.nick) and loop.time() - asked > _NICK_EVERY_SECS:
                asked = loop.time()
                connection.write("NICK", self._config.nick)

    async def _pong(self, connection: Connection) -> None:
        """Wait until the server has seen all that was sent so far."""
        token = f"prx-{next(self._numbers)}"
        pong = self._pongs[token] = asyncio.get_running_loop().create_future()
        try:
            connection.write("PING", token)
            async with asyncio.timeout(_ANSWER_SECS):
                await asyncio.shield(pong)
        except TimeoutError as error:
            raise UnavailableError(f"the server did not answer within {_ANSWER_SECS:g} s") from error
        except asyncio.CancelledError:
            if pong.cancelled():
                raise UnavailableError("the connection ended before the server answered") from None
            raise
        finally:
            del self._pongs[token]

    async def _take(self, line: Line, context: ChannelContext) -> None:
        match line.command:
            case "PRIVMSG":
                if (message := self._message(line)) is not None:
                    await context.receive(message)
            case "PONG":
                pong = self._pongs.get(line.argument(-1))
                if pong is not None and not pong.done():
                    pong.set_result(None)
            case "NICK" if self._is_me(line.nick):
                self._nick = line.argument(0)
            case "ERROR":
                raise UnavailableError(f"the server closed the connection: {line.argument(-1)}")
            case "KICK" if self._is_me(line.argument(1)):
                _log.warning("kicked", room=line.argument(0), by=line.nick, reason=line.argument(-1))
            case number if number in _UNDELIVERED and lowered(line.argument(1)) == self._target:
                self._refusal = line.argument(-1)
            case number if number in _UNDELIVERED | _NOT_JOINED:
                _log.warning("the server refuses", about=line.argument(1), reason=line.argument(-1))

    def _is_me(self, nick: str) -> bool:
        return lowered(nick) == lowered(self._nick)

    def _message(self, line: Line) -> IncomingMessage | None:
        target, said = line.argument(0).lstrip("~&@%"), line.argument(1)
        is_group = target.startswith(_ROOM_SIGNS)
        if said.startswith("\x01"):
            verb, _, said = said.strip("\x01").partition(" ")
            if verb != "ACTION":
                return None
            said = f"*{line.nick} {said}*"
        if not is_group and not self._is_me(target):
            return None
        text, is_mentioned = addressed(unformatted(said), self._nick)
        account = line.tags.get("account")
        return IncomingMessage(
            conversation=lowered(target if is_group else line.nick),
            sender=lowered(line.nick),
            sender_name=line.nick,
            sender_aliases=[line.nick, line.source, *([f"{_ACCOUNT}{account}"] if account else [])],
            text=text,
            event_id=line.tags.get("msgid"),
            is_self=self._is_me(line.nick),
            is_bot="bot" in line.tags,
            is_group=is_group,
            mentioned=is_mentioned,
        )


def _is_in_vain(config: IrcConfig, capabilities: frozenset[str]) -> bool:
    """Tell whether users are allowed by what the server tells of nobody."""
    return "account-tag" not in capabilities and any(
        user.startswith(_ACCOUNT) for user in config.allowed_users
    )


async def _registered(connection: Connection, config: IrcConfig, nick: str) -> Registered:
    try:
        async with asyncio.timeout(_REGISTRATION_SECS):
            return await register(connection, config, nick)
    except TimeoutError as error:
        hint = "; some servers say nothing to a wrong password" if config.server_password else ""
        raise UnavailableError(
            f"the server did not let the bot in within {_REGISTRATION_SECS:g} s{hint}"
        ) from error
