"""Making keys and signatures, on the author's machine: the daemon only verifies."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prx.core.errors import PrxError
from prx.core.private_file import PrivateFile
from prx.plugins.errors import LoadError
from prx.plugins.packing import replace_signature
from prx.plugins.signing import MAX_SIGNATURES, Line, fitting_lines, key_text, message_of, parse, text_of
from prx.plugins.sources import Source, read, signature_path

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_MAX_KEY_FILE_BYTES = 4096


def sign(source: Source, key_file: Path) -> tuple[Path, str]:
    """Sign the plugin at `source`; return where the signature is now, and the public key.

    What other keys vouch for stays.

    Raises:
        LoadError: there is no plugin that could be signed.
        PrxError: the key cannot be read, or the signature not written.
    """
    private = _private_key(key_file)
    contents, _ = read(source)
    key = key_text(private.public_key().public_bytes_raw())
    others: list[Line] = []
    if contents.signature is not None:
        with suppress(LoadError):  # what is no signature file is replaced by one
            others = [line for line in fitting_lines(parse(contents.signature), contents) if line.key != key]
    text = text_of([*others[: MAX_SIGNATURES - 1], Line(key, private.sign(message_of(contents)))])
    path = signature_path(source)
    if path is None:
        replace_signature(source.path, text)
        return source.path, key
    _replace(path, text)
    return path, key


def generate(path: Path) -> str:
    """Make a key in a new file at `path`, for its owner alone (0600); return the public key.

    Raises:
        PrxError: there is such a file already, or it cannot be written.
    """
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # as in `signing`
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    private = Ed25519PrivateKey.generate()
    content = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except FileExistsError as error:
        raise PrxError(
            f"{path} is there already: a key that is lost cannot be made again; choose another name"
        ) from error
    except OSError as error:
        raise PrxError(f"{path} cannot be written: {error.strerror}") from error
    return key_text(private.public_key().public_bytes_raw())


def _private_key(path: Path) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # as in `signing`
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    content = PrivateFile(path, max_bytes=_MAX_KEY_FILE_BYTES).read()
    if content is None:
        raise PrxError(f"{path}: no such file: `prx plugin keygen` makes a key")
    try:
        private = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise PrxError(
            f"{path} is no private Ed25519 key in PEM without a password: `prx plugin keygen` makes one"
        )
    return private


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise PrxError(f"{path} cannot be written: {error.strerror}") from error
