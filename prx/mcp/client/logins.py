"""Logins to MCP servers that ask for OAuth: encrypted in the data directory, and bound to the address they are for."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from prx.core.errors import NotFoundError, PrxError
from prx.core.private_file import PrivateFile
from prx.runtime.sealing import BrokenSealError, Sealer

_MAX_FILE_BYTES: Final = 4 * 1024 * 1024
_LOGINS: Final = TypeAdapter(dict[str, str])

ClientAuth = Literal["none", "client_secret_post", "client_secret_basic"]


class Login(BaseModel):
    """What a server's authorization server gave, and what it takes to have it renewed."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    expires_at: float | None
    """In seconds since 1970; None where nobody said."""
    refresh_token: str | None
    token_endpoint: str
    client_id: str
    client_secret: str | None
    client_auth: ClientAuth
    resource: str | None


class LoginStore:
    """The logins of one data directory, shared by the daemon and `prx mcp login`.

    Every method blocks on the file system: none is for the event loop.
    """

    def __init__(self, data_dir: Path) -> None:
        """Stand for `mcp-logins.json` and `secrets.key` in `data_dir`; neither need exist yet."""
        self._file = PrivateFile(data_dir / "mcp-logins.json", max_bytes=_MAX_FILE_BYTES)
        self._sealer = Sealer(data_dir, f"delete {self._file.path} and log in again with `prx mcp login`")

    def get(self, server: str, url: str) -> Login | None:
        """Return the login for the server at `url`; None where there is none, or one for another address.

        Raises:
            PrxError: it cannot be read.
        """
        sealed = self._read().get(server)
        if sealed is None:
            return None
        try:
            return Login.model_validate_json(self._sealer.open(sealed, _bound(server, url)))
        except BrokenSealError:
            return None

    def set(self, server: str, url: str, login: Login) -> None:
        """Keep a login, in place of any before.

        Raises:
            PrxError: the file cannot be read or written.
        """
        with self._file.locked():
            logins = self._read()
            with self._sealer.locked():
                sealed = self._sealer.seal(login.model_dump_json(), _bound(server, url), make_key=not logins)
            self._write(logins | {server: sealed})

    def remove(self, server: str) -> None:
        """Forget a login.

        Raises:
            NotFoundError: there is none.
            PrxError: the file cannot be read or written.
        """
        with self._file.locked():
            logins = self._read()
            if logins.pop(server, None) is None:
                raise NotFoundError(f'there is no login for the MCP server "{server}"')
            self._write(logins)

    def _read(self) -> dict[str, str]:
        content = self._file.read()
        if content is None:
            return {}
        try:
            return _LOGINS.validate_json(content)
        except ValidationError as error:
            raise PrxError(
                f"{self._file.path}: not a file of logins: delete it, and log in again with `prx mcp login`"
            ) from error

    def _write(self, logins: dict[str, str]) -> None:
        self._file.replace(_LOGINS.dump_json(logins))


def _bound(server: str, url: str) -> bytes:
    return f"{server}\0{url}".encode()
