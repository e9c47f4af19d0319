"""`tokens.json` in the data directory: read whole, replaced whole, written by one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, PlainSerializer, TypeAdapter, ValidationError

from prx.api.scopes import Role, granted
from prx.core.errors import PrxError
from prx.core.ids import iso_utc
from prx.core.private_file import PrivateFile

_LOCK_WAIT_SECS: Final = 5.0
_LOCK_POLL_SECS: Final = 0.02
_MAX_FILE_BYTES: Final = 4 * 1024 * 1024

_Moment = Annotated[AwareDatetime, PlainSerializer(iso_utc, when_used="json")]
Signature = tuple[int, int, int, int]


@dataclass(frozen=True)
class Token:
    """One bearer token as it is stored: its hash, never the token itself."""

    id: str
    name: str
    role: Role
    hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the token, in hexadecimal digits."""
    created: _Moment
    scopes: list[str] | None = None
    """What narrows the role, or None for all of it."""
    expires: _Moment | None = None
    last_used: _Moment | None = None

    @cached_property
    def digest(self) -> bytes:
        """The `hash` as bytes."""
        return bytes.fromhex(self.hash)

    @cached_property
    def granted(self) -> frozenset[str]:
        """Every single scope that this token has; `*` and the role are resolved."""
        return granted(self.role, self.scopes)


@dataclass(frozen=True)
class _Document:
    version: Literal[1] = 1
    tokens: list[Token] = field(default_factory=list)


_DOCUMENT: Final = TypeAdapter(_Document)


class TokensFile:
    """Reading takes no lock, since the file is only ever replaced; `editing` locks out other writers."""

    def __init__(self, path: Path) -> None:
        """Stand for the file at `path`, which need not exist yet."""
        self.path = path
        self._name = str(path)
        self._file = PrivateFile(path, max_bytes=_MAX_FILE_BYTES, lock_wait_secs=_LOCK_WAIT_SECS)

    def signature(self) -> Signature | None:
        """Return what changes whenever the file does; None while there is none.

        Raises:
            OSError: the file cannot be looked at.
        """
        try:
            found = os.stat(self._name)  # noqa: PTH116 - on the path of every request; Path.stat costs double
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def read(self) -> list[Token]:
        """Return the tokens; a file that does not exist has none.

        Raises:
            PrxError: it cannot be read, or is not what PRX writes.
        """
        content = self._file.read()
        if content is None:
            return []
        try:
            return _DOCUMENT.validate_json(content).tokens
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise PrxError(
                f"{self.path}: not a tokens file: {where}: {first['msg']}. Restore it from a backup, or delete it, "
                "which revokes every token, and make new ones with `prx auth token`"
            ) from error

    @contextmanager
    def editing(self) -> Iterator[list[Token]]:
        """Yield the tokens for change, and replace the file when the block ends without an error.

        Blocks up to 5 s while another process writes.

        Raises:
            PrxError: the file cannot be read or written.
            UnavailableError: another process kept the lock.
        """
        with self._file.locked():
            tokens = self.read()
            before = list(tokens)
            yield tokens
            if tokens != before:
                self._file.replace(_DOCUMENT.dump_json(_Document(tokens=tokens), indent=2))
