"""Compiled code on disk, trusted only where this daemon signed it.

Loading machine code that someone else wrote, or a file that was cut short, is as good as running it: the engine
checks next to nothing. So each file goes with a signature over what it was compiled from and what is in it, made
with a key that only the daemon's user can read.
"""

import hashlib
import hmac
import json
import os
import platform
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path

from prx.core.errors import PrxError
from prx.plugins.abi.ffi import PINNED_VERSION
from prx.plugins.engine import engine_fingerprint
from prx.runtime.logging import get_logger

log = get_logger("plugins::cache")

_FORMAT = 1
_KEY_BYTES = 32
_NEW = "new-"
_CHUNK = 1024 * 1024
_FOR_ITS_OWNER = 0o700
_MAX_FILES = 2048
_MAX_BYTES = 8 * 1024**3


def cache_key(digest: str, *, fuel: bool) -> str:
    """Name the code that the component of this SHA-256 compiles to, on this machine, with this engine."""
    parts = {
        "format": _FORMAT,
        "wasmtime": PINNED_VERSION,
        "engine": engine_fingerprint(fuel=fuel),
        "machine": f"{sys.platform}-{platform.machine()}",
        "wasm": digest,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Cache:
    """The directory of compiled code. All of this blocks: call it from a thread."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, made if missing, and its key file; nobody else may: it gets mode 0700.

        Raises:
            PrxError: it is no directory, or cannot be made or read.
        """
        self._directory = directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(directory.stat().st_mode) != _FOR_ITS_OWNER:
                directory.chmod(_FOR_ITS_OWNER)
            self._key = self._load_key()
        except OSError as error:
            raise PrxError(
                f"the directory of compiled code {directory} cannot be used: {error.strerror}; make it a directory "
                "that is writable for the daemon's user, or remove it"
            ) from error
        with suppress(OSError):  # read-only, and all that is needed may be in it
            self._remove_leftovers()

    def lookup(self, key: str) -> Path | None:
        """Return the file of `key` if it is here and unchanged since this daemon stored it."""
        path, signature = self._paths(key)
        try:
            expected = signature.read_bytes()
            found = self._sign(key, path)
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning(
                "compiled code cannot be read; compiling again", path=str(path), reason=error.strerror
            )
            return None
        if not hmac.compare_digest(expected, found):
            log.warning("compiled code was changed on disk; compiling again", path=str(path))
            return None
        with suppress(OSError):  # it only keeps what is in use from being pruned
            os.utime(path)
        return path

    def new_file(self) -> Path:
        """Return a name in the cache's directory for the compiler to write to."""
        with suppress(OSError):  # somebody removed it; where it cannot be made again, writing tells why
            self._directory.mkdir(mode=_FOR_ITS_OWNER, exist_ok=True)
        return self._directory / f"{_NEW}{secrets.token_hex(8)}"

    def store(self, key: str, compiled: Path) -> Path:
        """Sign `compiled`, a file from `new_file`, move it into place and return where it is now.

        Raises:
            OSError: the disk refuses.
        """
        path, signature = self._paths(key)
        text = self._sign(key, compiled)
        compiled.chmod(0o600)
        # Replaced, never overwritten: another instance may have the old file mapped.
        compiled.replace(path)
        self._write(signature, text)
        self._prune()
        return path

    def drop(self, key: str) -> None:
        """Forget code that the engine refused."""
        for path in self._paths(key):
            path.unlink(missing_ok=True)

    def _paths(self, key: str) -> tuple[Path, Path]:
        return self._directory / f"{key}.cwasm", self._directory / f"{key}.sig"

    def _write(self, path: Path, content: bytes) -> None:
        temporary = self.new_file()
        temporary.touch(mode=0o600)
        temporary.write_bytes(content)
        temporary.replace(path)

    def _sign(self, key: str, path: Path) -> bytes:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        signed = hmac.new(self._key, f"{key}:{digest.hexdigest()}".encode(), hashlib.sha256)
        return signed.hexdigest().encode()

    def _load_key(self) -> bytes:
        path = self._directory / "key"
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            key = b""
        if len(key) == _KEY_BYTES:
            return key
        key = secrets.token_bytes(_KEY_BYTES)
        self._write(path, key)
        return key

    def _remove_leftovers(self) -> None:
        """Remove what a daemon that was killed while it compiled left behind."""
        for path in self._directory.glob(f"{_NEW}*"):
            path.unlink(missing_ok=True)

    def _prune(self) -> None:
        """Keep the cache within its bounds: the code that was used longest ago goes first."""
        files = sorted(self._directory.glob("*.cwasm"), key=lambda path: path.stat().st_mtime)
        size = sum(path.stat().st_size for path in files)
        while files and (len(files) > _MAX_FILES or size > _MAX_BYTES):
            oldest = files.pop(0)
            size -= oldest.stat().st_size
            self.drop(oldest.stem)
