"""The logins at MCP servers: encrypted in the data directory, shared by the daemon and the command line.

`prx.runtime.sealing` says what that protects against. Nothing here loads the SDK.
"""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from prx.config.integrations import McpServerConfig
from prx.config.keys import dotted
from prx.core.errors import NotFoundError, PrxError, UnavailableError
from prx.core.private_file import PrivateFile
from prx.runtime.sealing import BrokenSealError, Sealer

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post"]

_MAX_FILE_BYTES: Final = 4 * 1024 * 1024


class NeedsLoginError(UnavailableError):
    """The server does not serve without a login, or not with the one there is; trying again changes nothing."""


@dataclass(frozen=True, slots=True)
class Client:
    """What an authorization server knows this daemon as."""

    id: str
    secret: str | None = field(default=None, repr=False)
    method: AuthMethod = "none"
    """How the secret is shown."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where tokens come from."""

    issuer: str
    token: str
    revocation: str | None = None
    resource: str | None = None
    """What the tokens are for, where the server says so."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the authorization server gave. Times are seconds since 1970."""

    access: str = field(repr=False)
    refresh: str | None = field(default=None, repr=False)
    scope: str | None = None
    renew_at: float | None = None
    """When another one is due; None where nobody knows."""
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """One login."""

    url: str = field(repr=False)
    """Where its tokens may be sent: with another address it is another server."""
    client: Client
    endpoints: Endpoints
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class _Entry:
    """A login as it is stored."""

    server: str
    sealed: str

    def bound(self) -> bytes:
        return f"mcp login\0{self.server}".encode()


@dataclass(frozen=True, slots=True)
class _Document:
    version: Literal[1] = 1
    logins: list[_Entry] = field(default_factory=list)


_DOCUMENT: Final = TypeAdapter(_Document)
_LOGIN: Final = TypeAdapter(Login)


class LoginFile:
    """The logins of one data directory. Every method blocks on the file system: none is for the event loop."""

    def __init__(self, data_dir: Path) -> None:
        """Stand for `mcp-logins.json` in `data_dir`, which need not exist yet."""
        self._file = PrivateFile(data_dir / "mcp-logins.json", max_bytes=_MAX_FILE_BYTES)
        self._sealer = Sealer(data_dir, f"delete {self._file.path} and log in again")

    def find(self, server: str, url: str) -> Login | None:
        """Return the login at `server`, unless that has another address by now.

        Raises:
            PrxError: it cannot be read.
        """
        login = self._opened(self._entry(server))
        return None if login is None or login.url != url else login

    def put(self, server: str, login: Login) -> None:
        """Store `login` in place of what is there.

        Raises:
            PrxError: the file cannot be read or written.
        """
        with self._file.locked():
            self._put(server, login)

    def renew(self, server: str, before: Login, after: Login) -> Login | None:
        """Store `after` in place of `before`; where somebody logged in anew or out meanwhile, return what is there now.

        Raises:
            PrxError: the file cannot be read or written.
        """
        with self._file.locked():
            now = self._opened(self._entry(server))
            if now != before:
                return now
            self._put(server, after)
        return after

    def remove(self, server: str) -> Login | None:
        """Forget the login at `server`, and return it if it can be read.

        Raises:
            NotFoundError: there is none.
            PrxError: the file cannot be read or written.
        """
        with self._file.locked():
            entry = self._entry(server)
            if entry is None:
                raise NotFoundError(f'nobody is logged in at MCP server "{server}"')
            self._write([other for other in self._all() if other.server != server])
        try:
            return self._opened(entry)
        except PrxError:  # it is forgotten all the same
            return None

    def _put(self, server: str, login: Login) -> None:
        others = [entry for entry in self._all() if entry.server != server]
        text, bound = _LOGIN.dump_json(login).decode(), _Entry(server, "").bound()
        with self._sealer.locked():
            sealed = self._sealer.seal(text, bound, make_key=not others)
        self._write([*others, _Entry(server, sealed)])

    def _entry(self, server: str) -> _Entry | None:
        return next((entry for entry in self._all() if entry.server == server), None)

    def _opened(self, entry: _Entry | None) -> Login | None:
        if entry is None:
            return None
        try:
            return _LOGIN.validate_json(self._sealer.open(entry.sealed, entry.bound()))
        except (BrokenSealError, ValidationError):
            raise PrxError(
                f'the login at "{entry.server}" in {self._file.path} cannot be read: it was changed, or sealed with '
                f"another key than {self._sealer.key_path}: log in again with {login_command(entry.server)}"
            ) from None

    def _all(self) -> Sequence[_Entry]:
        content = self._file.read()
        if content is None:
            return []
        try:
            return _DOCUMENT.validate_json(content).logins
        except ValidationError:
            raise PrxError(
                f"{self._file.path}: not a file of logins: restore it from a backup, or delete it and log in again"
            ) from None

    def _write(self, entries: list[_Entry]) -> None:
        self._file.replace(_DOCUMENT.dump_json(_Document(logins=entries), indent=2))


def has_own_authorization(config: McpServerConfig) -> bool:
    """Tell whether the configuration itself says what the server gets as `Authorization`."""
    return "@" in _place(config) or any(name.lower() == "authorization" for name in config.headers)


def login_command(server: str, scopes: Iterable[str] = ()) -> str:
    """Return the command that logs in, fit to be copied: a server may call its scopes as it likes."""
    words = ["prx", "mcp", "login", server, *(word for scope in scopes for word in ("--scope", scope))]
    return f"`{shlex.join(words)}`"


def remedy(server: str, config: McpServerConfig) -> str:
    """Return what an operator does about a server that does not serve for want of a login."""
    table = dotted(("mcp", "servers", server))
    if has_own_authorization(config):
        key = "user and password in the url" if "@" in _place(config) else "the authorization in headers"
        return f"correct {key} of {table}"
    if config.oauth.grant == "client_credentials":
        return f"correct {table}.oauth"
    return f"log in with {login_command(server)}"


def _place(config: McpServerConfig) -> str:
    try:
        return urlsplit(config.url or "").netloc
    except ValueError:  # connecting says what is wrong with it
        return ""
