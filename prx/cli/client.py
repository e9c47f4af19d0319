"""The command line as a client of the daemon on this machine and of this user: it finds address and token itself."""

import hashlib
import http.client
import json
import os
import secrets
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from prx.api.tokens import TokenStore
from prx.cli.context import load_config, running_daemon
from prx.cli.exit_codes import DaemonDownError
from prx.cli.sse import ServerSentEvent, read_events
from prx.core.errors import BadRequestError, ConfigError, PrxError
from prx.runtime.process import Address, daemon_pid

_TIMEOUT_SECS = 330.0
_PIECE = 256 * 1024
_LINE_END = b"\r\n"
_TOKEN_LIFE = timedelta(minutes=10)
TOKEN_NAME = "the local command line"  # noqa: S105  # what the list shows


class RefusedError(PrxError):
    """The daemon answered with an error; the message is its own."""

    code = "refused"

    def __init__(self, message: str, *, why: str, details: Mapping[str, Any] | None = None) -> None:
        """Keep the daemon's own words, and the code `why` of its error."""
        super().__init__(message, details=details)
        self.why = why


class Client:
    """One connection's worth of requests."""

    def __init__(self, address: Address, token: str) -> None:
        """Talk to the API at `address`."""
        self.url = address.url
        self._url = urlsplit(address.url)
        self._token = token
        self._certificate = address.certificate

    def get(self, path: str) -> Any:
        """Return the answer to `GET path`."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON answer; `path` is below `/api/v1`.

        Raises:
            DaemonDownError: nobody answers there.
            RefusedError: the daemon refuses; says why.
        """
        payload = None if body is None else json.dumps(body).encode()
        return self._sent(method, path, payload, {"Content-Type": "application/json"})

    def upload(self, path: str, files: Sequence[Path]) -> Any:
        """Return the JSON answer to a `POST` of `files`, which are sent as they are read.

        Raises:
            PrxError: a file cannot be read.
            DaemonDownError, RefusedError: as `request`.
        """
        boundary = secrets.token_hex(16)
        with ExitStack() as opened:
            try:
                parts = [
                    _Part.of(opened.enter_context(file.open("rb")), file.name, boundary) for file in files
                ]
            except OSError as error:
                raise PrxError(f"{error.filename} cannot be read: {error.strerror}") from error
            end = f"--{boundary}--\r\n".encode()
            headers = {
                "Content-Type": f"multipart/form-data; boundary={boundary}",
                "Content-Length": str(sum(part.size for part in parts) + len(end)),
            }
            content = chain(*(part.pieces() for part in parts), (end,))
            return self._sent("POST", path, content, headers)

    def _sent(
        self, method: str, path: str, body: bytes | Iterable[bytes] | None, headers: Mapping[str, str]
    ) -> Any:
        connection = self._connection()
        try:
            # A daemon that refuses a long body answers before it has all of it, and closes: the answer is what counts.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(
                    method, self._url.path + path, body, {"Authorization": f"Bearer {self._token}", **headers}
                )
            response = connection.getresponse()
            answer = json.loads(response.read() or b"null")
        except (OSError, http.client.HTTPException) as error:
            raise self._down(error) from error
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise _refused(answer)
        return answer

    @contextmanager
    def events(self, path: str, last_id: str | None = None) -> Iterator[Iterator[ServerSentEvent]]:
        """Follow the stream at `path` for the length of the block, behind the event `last_id` where one is known.

        Raises:
            DaemonDownError: nobody answers there.
            RefusedError: the daemon refuses; says why.
        """
        with self._following(
            "GET", path, None, {} if last_id is None else {"Last-Event-ID": last_id}
        ) as events:
            yield events

    @contextmanager
    def answer_of(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> Iterator[Iterator[ServerSentEvent]]:
        """Follow the stream that a `POST` of `body` is answered with, for the length of the block; see `events`."""
        sent = {"Content-Type": "application/json", "Accept": "text/event-stream", **(headers or {})}
        with self._following("POST", path, json.dumps(body).encode(), sent) as events:
            yield events

    @contextmanager
    def _following(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Iterator[Iterator[ServerSentEvent]]:
        with closing(self._connection()) as connection:
            try:
                authorized = {"Authorization": f"Bearer {self._token}", **headers}
                connection.request(method, self._url.path + path, body, authorized)
                response = connection.getresponse()
                if response.status >= http.client.BAD_REQUEST:
                    raise _refused(json.loads(response.read()))
            except (OSError, http.client.HTTPException) as error:
                raise self._down(error) from error
            yield read_events(self._lines(response))

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        try:
            yield from response
        except (OSError, http.client.HTTPException) as error:
            raise self._down(error) from error

    def _down(self, error: Exception) -> DaemonDownError:
        return DaemonDownError(f"the daemon at {self._url.geturl()} does not answer: {error}")

    def _connection(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        # A daemon that listens everywhere is reached on this machine's own address.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
        if self._url.scheme != "https":
            return http.client.HTTPConnection(host, self._url.port, timeout=_TIMEOUT_SECS)
        return _TlsConnection(host, self._url.port, self._certificate)


class _TlsConnection(http.client.HTTPSConnection):
    """To the one certificate that the daemon said it shows: whoever signed it, for which name and until when."""

    def __init__(self, host: str, port: int | None, certificate: str | None) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(host, port, timeout=_TIMEOUT_SECS, context=context)
        self._certificate = certificate

    def connect(self) -> None:
        super().connect()
        shown = self.sock.getpeercert(binary_form=True) or b""
        if self._certificate is not None and hashlib.sha256(shown).hexdigest() != self._certificate:
            self.close()
            raise ssl.SSLCertVerificationError("another program does, with another certificate")


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of a multipart body."""

    file: BinaryIO
    head: bytes
    length: int

    @classmethod
    def of(cls, file: BinaryIO, name: str, boundary: str) -> "_Part":
        # As browsers write a name in a header.
        shown = name.replace("\\", "\\\\").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{shown}"\r\n\r\n'
        return cls(file, head.encode(errors="replace"), os.fstat(file.fileno()).st_size)

    @property
    def size(self) -> int:
        return len(self.head) + self.length + len(_LINE_END)

    def pieces(self) -> Iterator[bytes]:
        yield self.head
        left = self.length  # not more, should the file grow meanwhile: the length was announced
        while left and (piece := self.file.read(min(_PIECE, left))):
            left -= len(piece)
            yield piece
        yield _LINE_END


def _refused(answer: Any) -> RefusedError:
    error = answer["error"]
    return RefusedError(error["message"], why=error["code"], details=error["details"])


@contextmanager
def daemon() -> Iterator[Client]:
    """Give a client of the running daemon, with a token that ends with the block.

    Raises:
        DaemonDownError: none runs with this configuration; says how to start it.
        ConfigError: none runs, and the configuration is wrong.
    """
    running = running_daemon()
    if running is None:
        raise unreachable(_data_dir_of_none())
    tokens = TokenStore(running.data_dir)
    secret, token = tokens.create(TOKEN_NAME, expires_in=_TOKEN_LIFE)
    try:
        yield Client(running.address, secret)
    finally:
        tokens.revoke(token.id)


def _data_dir_of_none() -> Path:
    try:
        return load_config().daemon.data_dir
    except ConfigError as error:
        # It may be no more than a variable that is set for the daemon alone.
        raise ConfigError(
            f"no daemon runs with this configuration, and here none would start:\n{error}"
        ) from error


def unreachable(data_dir: Path) -> DaemonDownError:
    """Return why no daemon can be asked, and how to start one."""
    try:
        pid = daemon_pid(data_dir)
    except OSError as error:
        return DaemonDownError(
            f"cannot tell whether a daemon runs with the data directory {data_dir}: {error.strerror}; run this command "
            "as the daemon's user, or name another configuration with --config"
        )
    if pid is not None:
        return DaemonDownError(
            f"the daemon (pid {pid}) of the data directory {data_dir} has no port open: it is starting or stopping, or "
            "was started with --no-gateway"
        )
    return DaemonDownError(
        f"no daemon runs with the data directory {data_dir}: start it with `prx daemon`, or name its configuration "
        "with --config"
    )


def segment(name: str) -> str:
    """Return `name` as one segment of a path.

    Raises:
        BadRequestError: it is empty, and would lead to another path.
    """
    if not name:
        raise BadRequestError("there is nothing whose name is empty")
    return quote(name, safe="")
