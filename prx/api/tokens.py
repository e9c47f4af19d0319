"""Bearer tokens: made and revoked by the CLI, checked by the daemon at every request."""

import asyncio
import hashlib
import hmac
import secrets
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from prx.api.scopes import Role, check_scopes
from prx.api.tokens_file import Signature, Token, TokensFile
from prx.core.errors import BadRequestError, NotFoundError, PrxError
from prx.core.ids import new_id, now_utc
from prx.runtime.logging import get_logger

PREFIX: Final = "prx_"
_SECRET_BYTES: Final = 32
_INDEX_BYTES: Final = 8
_MAX_NAME_CHARS: Final = 100
_RETRY_SECS: Final = 1.0

_log = get_logger("api::tokens")


class TokenStore:
    """The tokens of one data directory, shared by the daemon and any number of CLI processes.

    `create`, `all` and `revoke` block and are for the CLI; `authenticate`, `refresh` and `find` are for the event loop.
    """

    def __init__(self, data_dir: Path) -> None:
        """Stand for `tokens.json` in `data_dir`; neither need exist yet."""
        self._file = TokensFile(data_dir / "tokens.json")
        self._signature: Signature | None = None
        self._tokens: dict[bytes, Token] = {}
        self._complaint: str | None = None
        self._retry_at = 0.0
        self._used: dict[str, float] = {}

    def authenticate(self, secret: str) -> Token | None:
        """Return the valid token that `secret` is, or None. A revocation counts from the next call on.

        Never raises: while the file cannot be read no token is valid, and the log says why, once.
        """
        self.refresh()
        return self.find(secret)

    def find(self, secret: str) -> Token | None:
        """Return the valid token that `secret` is as of the last `refresh`, or None. Never raises."""
        digest = hashlib.sha256(secret.encode(errors="surrogateescape")).digest()
        # The lookup goes by a part of the hash, so that the whole of it is compared in constant time.
        token = self._tokens.get(digest[:_INDEX_BYTES])
        if token is None or not hmac.compare_digest(token.digest, digest):
            return None
        now = time.time()
        if token.expires is not None and now >= token.expires.timestamp():
            return None
        self._used[token.id] = now
        return token

    def refresh(self) -> None:
        """Take in what other processes changed. Never raises; see `authenticate`."""
        try:
            signature = self._file.signature()
            # What kept the file from being read need not lie in the file: too many open files, say.
            settled = self._complaint is None or time.monotonic() < self._retry_at
            if settled and signature == self._signature:
                return
            self._signature = signature
            self._tokens = {token.digest[:_INDEX_BYTES]: token for token in self._file.read()}
            self._complaint = None
        except (OSError, PrxError) as error:
            self._tokens = {}
            self._complain(str(error))

    def create(
        self,
        name: str,
        *,
        role: Role = "admin",
        scopes: list[str] | None = None,
        expires_in: timedelta | None = None,
    ) -> tuple[str, Token]:
        """Store a new token and return it with its record; nobody can ever read it again.

        Raises:
            BadRequestError: an unknown scope, one beyond the role, or an unfit name.
            PrxError: the file cannot be read or written.
        """
        if not 0 < len(name) <= _MAX_NAME_CHARS or not name.isprintable():
            raise BadRequestError(f"a token's name is 1 to {_MAX_NAME_CHARS} printable characters")
        check_scopes(role, scopes or [])
        secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        now = now_utc()
        token = Token(
            id=new_id("tok"),
            name=name,
            role=role,
            hash=hashlib.sha256(secret.encode()).hexdigest(),
            created=now,
            scopes=scopes or None,
            expires=None if expires_in is None else now + expires_in,
        )
        with self._file.editing() as tokens:
            tokens.append(token)
        return secret, token

    def all(self) -> list[Token]:
        """Return every stored token, expired ones too, oldest first.

        Raises:
            PrxError: the file cannot be read.
        """
        return self._file.read()

    def revoke(self, token_id: str) -> Token:
        """Remove a token; the daemon refuses it from its next request on.

        Raises:
            NotFoundError: no such token.
            PrxError: the file cannot be read or written.
        """
        with self._file.editing() as tokens:
            for position, token in enumerate(tokens):
                if token.id == token_id:
                    del tokens[position]
                    return token
        raise NotFoundError(f'Token "{token_id}" not found; `prx auth list` shows what there is')

    async def flush_forever(self, every_secs: float = 60.0) -> None:
        """Write when each token was last used, at most once in `every_secs`, until cancelled."""
        while True:
            await asyncio.sleep(every_secs)
            await self._flush()

    async def aclose(self) -> None:
        """Write what `flush_forever` has not written yet; takes at most 5 s."""
        await self._flush()

    async def _flush(self) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            await asyncio.to_thread(self._write_last_used, used)
        except PrxError as error:
            self._used = used | self._used
            _log.warning("cannot record when tokens were last used; trying again later", error=error.message)

    def _write_last_used(self, used: dict[str, float]) -> None:
        with self._file.editing() as tokens:
            for position, token in enumerate(tokens):
                if token.id in used:
                    moment = datetime.fromtimestamp(used[token.id], UTC)
                    tokens[position] = replace(token, last_used=moment)

    def _complain(self, reason: str) -> None:
        self._retry_at = time.monotonic() + _RETRY_SECS
        if reason != self._complaint:
            self._complaint = reason
            _log.error("no token is valid while the tokens file cannot be read", reason=reason)
