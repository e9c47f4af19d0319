"""Texts that lie encrypted in the data directory, all with the one key beside them.

That protects a copy of one file, such as a backup or a support bundle, not against whoever may read all of the data
directory.
"""

import base64
import binascii
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prx.core.errors import PrxError
from prx.core.private_file import PrivateFile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class BrokenSealError(PrxError):
    """A sealed text was changed, or sealed with another key."""


class Sealer:
    """Seals and opens with AES-256-GCM. Every method blocks on the file system: none is for the event loop."""

    def __init__(self, data_dir: Path, without_key: str) -> None:
        """Use `secrets.key` in `data_dir`, which need not exist yet; `without_key` says what to do if it is lost."""
        self._file = PrivateFile(data_dir / "secrets.key", max_bytes=1024)
        self._without_key = without_key

    @property
    def key_path(self) -> Path:
        """Where the key lies."""
        return self._file.path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from making a key for the length of the block. `secrets.json` has the same lock.

        Raises:
            PrxError: as `PrivateFile.locked`.
        """
        with self._file.locked():
            yield

    def seal(self, text: str, bound: bytes, *, make_key: bool) -> str:
        """Return `text` encrypted: nonce and ciphertext in base64; only with the same `bound` can it be opened.

        Args:
            text: what is sealed.
            bound: what the text belongs to, such as its name, so that nobody can swap two of them.
            make_key: whether a key may be made where there is none, because nothing is sealed yet; hold the lock.

        Raises:
            PrxError: there is no key, or it cannot be read or written.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher(make=make_key).encrypt(nonce, text.encode(), bound)
        return base64.b64encode(sealed).decode()

    def open(self, sealed: str, bound: bytes) -> str:
        """Return the text that was sealed for `bound`.

        Raises:
            BrokenSealError: it was changed, or sealed with another key.
            PrxError: there is no key, or it cannot be read.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # as in `_cipher`

        cipher = self._cipher()
        try:
            content = base64.b64decode(sealed, validate=True)
            return cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], bound).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise BrokenSealError(
                f"it was changed, or sealed with another key than {self.key_path}"
            ) from None

    def _cipher(self, *, make: bool = False) -> "AESGCM":
        # 80 ms and 8 MiB, which a daemon without secrets does not pay.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        content = self._file.read()
        if content is None and make:
            content = base64.b64encode(AESGCM.generate_key(8 * _KEY_BYTES))
            self._file.replace(content)
        try:
            key = base64.b64decode(content or b"", validate=True)
        except binascii.Error:
            key = b""
        if len(key) != _KEY_BYTES:
            if content is None:
                raise PrxError(
                    f"{self.key_path} is missing: restore it from a backup, or {self._without_key}"
                )
            raise PrxError(
                f"{self.key_path} is damaged: restore it from a backup, or delete it and {self._without_key}"
            )
        return AESGCM(key)
