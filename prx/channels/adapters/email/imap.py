"""As much of IMAP as it takes to hear of new mail and read it."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

from prx.channels.reach import tls_context, unreachable
from prx.config.platforms.email import EmailConfig
from prx.core.channel_errors import AuthenticationError
from prx.core.errors import PermanentError, UnavailableError

_CONNECT_SECS: Final = 10.0
# Dovecot answers a login after a failed one 6 s later.
_COMMAND_SECS: Final = 30.0
_CLOSE_SECS: Final = 1.0
_FETCH_SECS: Final = 600.0
_MAX_LINE: Final = 2**20
_MAX_LITERAL: Final = 2**26
_CHUNK: Final = 2**16
# Why a login is refused that is right (RFC 5530).
_NOT_NOW: Final = ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG")
_LITERAL: Final = re.compile(rb"\{(\d+)\+?\}\r?\n$")
_FETCHED: Final = re.compile(rb"^\* \d+ FETCH \(.*?\bUID (\d+)", re.DOTALL)
_SIZE: Final = re.compile(rb"RFC822\.SIZE (\d+)")
_NEWS: Final = re.compile(rb"^\* \d+ EXISTS", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Response:
    """One response: its text, and the literals that stood in it."""

    text: bytes
    literals: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Mailbox:
    """The mailbox that was selected, as it was then."""

    validity: int
    """While it is the same, numbers of messages mean the same messages."""
    next_uid: int


class Imap:
    """A connection after its login; commands take turns."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_progress: Callable[[], None]
    ) -> None:
        """Take over both ends; `on_progress` is called while something long is on its way."""
        self._on_progress = on_progress
        self.capabilities: frozenset[str] = frozenset()
        self._reader = reader
        self._writer = writer
        self._tags = (f"a{number}" for number in count(1))
        self._turn = asyncio.Lock()
        self._wanted = asyncio.Event()
        """Set where somebody waits for a turn."""
        self._has_news = False
        """Whether the server told of a message since it was asked last; it tells of each once, whatever it is doing."""

    async def select(self, mailbox: str) -> Mailbox:
        """Choose the mailbox that is read from.

        Raises:
            PermanentError: there is none of this name.
        """
        try:
            responses = await self.command(f"SELECT {quoted(mailbox)}")
        except _RefusedError as error:
            raise PermanentError(f'the mailbox "{mailbox}" cannot be read: {error.message}') from error
        text = b"\n".join(each.text for each in responses)
        validity, next_uid = (
            re.search(rb"\[%s (\d+)\]" % name, text) for name in (b"UIDVALIDITY", b"UIDNEXT")
        )
        if validity is None or next_uid is None:
            raise PermanentError("the IMAP server does not number its messages (UIDVALIDITY, UIDNEXT)")
        return Mailbox(int(validity[1]), int(next_uid[1]))

    async def uids(self, first: int) -> list[int]:
        """Return the numbers of the messages from `first` on, in order."""
        self._has_news = False
        responses = await self.command(f"UID SEARCH UID {first}:*")
        found = b" ".join(each.text[8:] for each in responses if each.text.upper().startswith(b"* SEARCH"))
        # `n:*` names the last message even where its number is lower.
        return sorted({int(each) for each in found.split() if each.isdigit() and int(each) >= first})

    async def size(self, uid: int) -> int | None:
        """Return how many bytes a message has; None where it is gone."""
        for response in await self.command(f"UID FETCH {uid} (UID RFC822.SIZE)"):
            if (size := _SIZE.search(response.text)) is not None:
                return int(size[1])
        return None

    async def fetch(self, uid: int) -> bytes | None:
        """Return a whole message, and leave it unread; None where it is gone."""
        for response in await self.command(f"UID FETCH {uid} (UID BODY.PEEK[])", within_secs=_FETCH_SECS):
            if response.literals and _FETCHED.match(response.text):
                return response.literals[0]
        return None

    async def mark_seen(self, uid: int) -> None:
        """Mark a message as read."""
        await self.command(f"UID STORE {uid} +FLAGS.SILENT (\\Seen)")

    async def noop(self) -> None:
        """Make a round trip."""
        await self.command("NOOP")

    def interrupt(self) -> None:
        """Have `wait` return."""
        self._wanted.set()

    async def wait(self, secs: float) -> None:
        """Wait until there is something new, somebody wants a turn, or `secs` are over; then make a round trip."""
        if self._has_news:
            return
        if "IDLE" not in self.capabilities:
            try:
                async with asyncio.timeout(secs):
                    await self._wanted.wait()
            except TimeoutError:
                await self.noop()
            return
        async with self._turn:
            try:
                await self._idle(secs)
            except TimeoutError as error:
                raise UnavailableError("the IMAP server did not answer in time") from error

    async def command(self, text: str, *more: str, within_secs: float = _COMMAND_SECS) -> list[Response]:
        """Send a command, each of `more` once the server asks for it; return what the server answers.

        Raises:
            UnavailableError: it refuses, or does not answer.
        """
        self._wanted.set()
        async with self._turn:
            self._wanted.clear()
            tag = next(self._tags)
            self._send(f"{tag} {text}")
            lines, responses = iter(more), list[Response]()
            try:
                async with asyncio.timeout(within_secs):
                    while True:
                        response = await self._response()
                        if response.text.startswith(b"+"):
                            self._send(next(lines, "*"))
                        elif response.text.startswith(f"{tag} ".encode()):
                            return _judged(response, text, responses)
                        else:
                            responses.append(response)
            except TimeoutError as error:
                raise UnavailableError("the IMAP server did not answer in time") from error

    async def start_tls(self, config: EmailConfig) -> None:
        """Go on with TLS."""
        await self.command("STARTTLS")
        context = await tls_context(config.tls_ca)
        await self._writer.start_tls(context, server_hostname=config.imap_host)

    async def login(self, user: str, password: str) -> None:
        """Log in, and learn what the server can do from then on.

        Raises:
            AuthenticationError: it does not know user or password.
            UnavailableError: it cannot tell now, or lets nobody more in.
        """
        credentials = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        try:
            if "AUTH=PLAIN" in await self._known():
                await self.command("AUTHENTICATE PLAIN", credentials)
            else:
                await self.command(f"LOGIN {quoted(user)} {quoted(password)}")
        except _RefusedError as error:
            if any(f"[{code}]" in error.message.upper() for code in _NOT_NOW):
                raise
            raise AuthenticationError(
                f"the IMAP server refuses the login: {error.message}; check user and password"
            ) from error
        self.capabilities = await self._known()

    async def greeting(self) -> None:
        """Wait for the server's first words."""
        async with asyncio.timeout(_CONNECT_SECS):
            response = await self._response()
        if not response.text.upper().startswith(b"* OK"):
            raise UnavailableError(f"the IMAP server takes nobody now: {_words(response.text)}")

    async def _idle(self, secs: float) -> None:
        tag = next(self._tags)
        self._send(f"{tag} IDLE")
        async with asyncio.timeout(_COMMAND_SECS):
            while not (await self._response()).text.startswith(b"+"):
                pass
        if self._has_news:  # it was told of just before
            secs = 0.0
        reading = asyncio.ensure_future(self._response())
        wanted = asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait({reading, wanted}, timeout=secs, return_when=asyncio.FIRST_COMPLETED)
            self._send("DONE")
            async with asyncio.timeout(_COMMAND_SECS):
                while not (await reading).text.startswith(tag.encode()):
                    reading = asyncio.ensure_future(self._response())
        finally:
            reading.cancel()
            wanted.cancel()
            await asyncio.gather(reading, wanted, return_exceptions=True)

    async def _known(self) -> frozenset[str]:
        responses = await self.command("CAPABILITY")
        text = b" ".join(each.text for each in responses if each.text.upper().startswith(b"* CAPABILITY"))
        return frozenset(text.decode(errors="replace").upper().split())

    async def _response(self) -> Response:
        text, literals = b"", list[bytes]()
        try:
            while True:
                line = await self._reader.readline()
                if not line.endswith(b"\n"):
                    raise UnavailableError("the IMAP server closed the connection")
                text += line
                literal = _LITERAL.search(line)
                if literal is None:
                    self._has_news |= _NEWS.match(text) is not None
                    return Response(text.rstrip(b"\r\n"), literals)
                literals.append(await self._literal(int(literal[1])))
        except (OSError, ValueError) as error:
            raise UnavailableError(f"the connection to the IMAP server broke: {error}") from error

    async def _literal(self, size: int) -> bytes:
        if size > _MAX_LITERAL:
            raise UnavailableError(f"the IMAP server sends {size} bytes at once")
        content = bytearray()
        while len(content) < size:
            chunk = await self._reader.read(min(_CHUNK, size - len(content)))
            if not chunk:
                raise UnavailableError("the IMAP server closed the connection")
            content += chunk
            self._on_progress()
        return bytes(content)

    def _send(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())


@asynccontextmanager
async def logged_in(
    config: EmailConfig, on_progress: Callable[[], None] = lambda: None
) -> AsyncIterator[Imap]:
    """Be logged in for the length of the block; see `Imap` for `on_progress`.

    Raises:
        AuthenticationError: the server does not know user or password.
        UnavailableError: it cannot be reached.
    """
    host, port, with_tls = config.imap_host, config.imap_port, config.imap_security == "tls"
    context = await tls_context(config.tls_ca) if with_tls else None
    shutdown = _CLOSE_SECS if with_tls else None
    try:
        async with asyncio.timeout(_CONNECT_SECS):
            reader, writer = await asyncio.open_connection(
                host, port, ssl=context, limit=_MAX_LINE, ssl_shutdown_timeout=shutdown
            )
    except OSError as error:
        raise unreachable(host, port, error, tls=with_tls) from error
    imap = Imap(reader, writer, on_progress)
    try:
        try:
            await imap.greeting()
            if config.imap_security == "starttls":
                await imap.start_tls(config)
        except OSError as error:
            raise unreachable(host, port, error, tls=with_tls) from error
        await imap.login(config.user or config.address, config.password.get_secret_value())
        yield imap
    finally:
        writer.transport.abort()  # the server ends what it has for us by itself
        writer.close()


def quoted(text: str) -> str:
    """Return a text as IMAP quotes it."""
    escaped = re.sub(r'(["\\])', r"\\\1", re.sub(r"[\r\n\0]", "", text))
    return f'"{escaped}"'


class _RefusedError(UnavailableError):
    """The server says NO or BAD."""


def _judged(response: Response, command: str, responses: list[Response]) -> list[Response]:
    _, status, *_ = [*response.text.split(b" ", 2), b""]
    if status.upper() != b"OK":
        name = command.partition(" ")[0]
        raise _RefusedError(f"{name}: {_words(response.text.partition(b' ')[2])}")
    return responses


def _words(text: bytes) -> str:
    return text.decode(errors="replace")[:300]
