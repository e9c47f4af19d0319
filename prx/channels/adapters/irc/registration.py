"""Becoming a user of an IRC server: capabilities, passwords, a nick."""

import asyncio
import base64
from typing import Final, NamedTuple

from prx.channels.adapters.irc.connection import Connection
from prx.channels.adapters.irc.lines import Line
from prx.config.platforms.irc import IrcConfig
from prx.core.channel_errors import AuthenticationError
from prx.core.errors import PermanentError, UnavailableError

_WANTED: Final = frozenset({"account-tag", "message-tags", "server-time"})
# One that just ended may hold the nick for a moment.
_NICK_TRIES: Final = 8
_NICK_PAUSE_SECS: Final = 0.25
_REFUSED: Final = frozenset({"902", "904", "905", "906", "908"})


class Registered(NamedTuple):
    """What came of a registration."""

    nick: str
    capabilities: frozenset[str]
    """Those that the server offers."""


async def register(connection: Connection, config: IrcConfig, nick: str) -> Registered:
    """Register as `nick`, or a nick like it where that is taken.

    Raises:
        AuthenticationError: a password is wrong, or the server offers no SASL.
        PermanentError: the server does not let this user in.
        UnavailableError: the connection ended.
    """
    return await _Registration(connection, config, nick).done()


class _Registration:
    def __init__(self, connection: Connection, config: IrcConfig, nick: str) -> None:
        self._connection = connection
        self._config = config
        self._nick = nick
        self._tries = 0
        self._offered: set[str] = set()

    async def done(self) -> Registered:
        send = self._connection.write
        if self._config.server_password is not None:
            send("PASS", self._config.server_password.get_secret_value())
        send("CAP", "LS", "302")
        send("NICK", self._nick)
        send("USER", self._config.nick, "0", "*", self._config.real_name)
        while (line := await self._connection.read()) is not None:
            match line.command:
                case "001":
                    return Registered(line.argument(0), frozenset(self._offered))
                case "CAP":
                    self._negotiate(line)
                case "AUTHENTICATE":
                    send("AUTHENTICATE", self._credentials())
                case "903":
                    send("CAP", "END")
                case "421" if line.argument(1) == "CAP" and self._config.sasl_password is not None:
                    raise _no_sasl()
                case "433" | "436" | "437":
                    await self._next_nick()
                case "432":
                    raise PermanentError(
                        f'the server does not take "{self._nick}" as a nick: set another one'
                    )
                case _:
                    self._refusal(line)
        tls = "TLS" if self._config.tls else "IRC without TLS"
        raise UnavailableError(
            f"the server closed the connection before the registration was done: does it speak {tls} on this port?"
        )

    def _negotiate(self, line: Line) -> None:
        match line.argument(1):
            case "LS":
                self._offered |= {each.partition("=")[0] for each in line.argument(-1).split()}
                if line.argument(2) == "*":  # more follow
                    return
                wanted = self._offered & _WANTED
                if self._config.sasl_password is not None:
                    if "sasl" not in self._offered:
                        raise _no_sasl()
                    wanted.add("sasl")
                if wanted:
                    self._connection.write("CAP", "REQ", " ".join(sorted(wanted)))
                else:
                    self._connection.write("CAP", "END")
            case "ACK" if "sasl" in line.argument(-1).split():
                self._connection.write("AUTHENTICATE", "PLAIN")
            case "ACK" | "NAK":
                self._connection.write("CAP", "END")

    def _credentials(self) -> str:
        password = self._config.sasl_password
        if password is None:
            return "*"  # nobody asked for this
        user = self._config.sasl_user or self._config.nick
        return base64.b64encode(f"\0{user}\0{password.get_secret_value()}".encode()).decode()

    async def _next_nick(self) -> None:
        self._tries += 1
        if self._tries >= _NICK_TRIES:
            self._nick += "_"
        else:
            await asyncio.sleep(_NICK_PAUSE_SECS)
        self._connection.write("NICK", self._nick)

    def _refusal(self, line: Line) -> None:
        words = line.argument(-1)
        if line.command in _REFUSED:
            raise AuthenticationError(f"the server refuses SASL: {words}; check sasl_user and sasl_password")
        if line.command == "464" or (line.command == "ERROR" and "password" in words.lower()):
            raise AuthenticationError(f"the server refuses the password: {words}; check server_password")
        if line.command == "465":
            raise PermanentError(f"the server does not let this bot in: {words}")
        if line.command == "ERROR":
            raise UnavailableError(f"the server closed the connection: {words}")


def _no_sasl() -> AuthenticationError:
    return AuthenticationError(
        "the server offers no SASL: use nickserv_password or server_password instead of sasl_password"
    )
