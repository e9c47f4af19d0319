"""Detached Ed25519 signatures: who vouches for a manifest and a component, checked on the bytes that were read.

What is signed is a short text over both digests, so that neither counts with another one's partner. A signature file
has a line for each key: that is how keys are changed, and how a signed file is replaced with no moment in between.
"""

import base64
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from prx.plugins.errors import LoadError, UntrustedError
from prx.plugins.sources import Contents

MAX_SIGNATURES = 16
# While a signed file is replaced, the file beside it holds the lines of both.
_MAX_LINES = 2 * MAX_SIGNATURES
HEADING = "prx-signature 1"
PREFIX = "ed25519:"
# Base64 of 32 and of 64 bytes in its one canonical form.
_LINE = re.compile(r"(ed25519:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=) ([A-Za-z0-9+/]{85}[AQgw]==)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who vouches for what was read."""

    key: str
    """The public key, as it stands in `plugins.trusted_keys`."""
    trusted: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a signature file."""

    key: str
    signature: bytes


def verify(contents: Contents, trusted: Collection[str]) -> Signature | None:
    """Return who signed `contents`, a trusted key before others; `None` when nobody did.

    Raises:
        LoadError: the signature file is none, or was made for something else.
    """
    if contents.signature is None:
        return None
    fitting = fitting_lines(parse(contents.signature), contents)
    if not fitting:
        raise LoadError(
            "its signature does not fit: the component or the manifest was changed after it was signed, or the "
            "signature is another plugin's; get it again from its author, or sign it again with `prx plugin sign`"
        )
    known = [line.key for line in fitting if line.key in trusted]
    return Signature(known[0], trusted=True) if known else Signature(fitting[0].key, trusted=False)


def admit(contents: Contents, trusted: Collection[str], *, required: bool) -> Signature | None:
    """Return who signed `contents`; where signatures are `required`, refuse what no trusted key vouches for.

    Raises:
        UntrustedError: plugins.require_signature keeps it out.
        LoadError: as `verify`.
    """
    signature = verify(contents, trusted)
    if required and (signature is None or not signature.trusted):
        why = (
            "it is not signed"
            if signature is None
            else f"it is signed by {signature.key}, which is none of plugins.trusted_keys"
        )
        raise UntrustedError(
            f"plugins.require_signature is set and {why}: add its author's key to plugins.trusted_keys, or sign it "
            "with `prx plugin sign`"
        )
    return signature


def parse(text: bytes) -> list[Line]:
    """Read a signature file.

    Raises:
        LoadError: it is none.
    """
    heading, *lines = text.decode("ascii", errors="replace").removesuffix("\n").split("\n")
    found = [_LINE.fullmatch(line) for line in lines]
    if heading != HEADING or not 1 <= len(found) <= _MAX_LINES or None in found:
        raise LoadError(
            f'its signature file is none: it begins with "{HEADING}" and has one line for each key; sign it again '
            "with `prx plugin sign`, or delete the file"
        )
    return [Line(line[1], base64.b64decode(line[2])) for line in found if line is not None]


def fitting_lines(lines: Sequence[Line], contents: Contents) -> list[Line]:
    """Return those of `lines` that were made for `contents`, whoever made them."""
    # 80 ms and 8 MiB, which a daemon without signatures does not pay.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    message, fitting = message_of(contents), []
    for line in lines:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(line.key.removeprefix(PREFIX)))
        with suppress(InvalidSignature):
            public.verify(line.signature, message)
            fitting.append(line)
    return fitting


def message_of(contents: Contents) -> bytes:
    """Return what is signed."""
    return (
        f"prx plugin signature 1\nmanifest sha256:{contents.manifest_digest}\ncomponent sha256:{contents.digest}\n"
    ).encode()


def text_of(lines: Sequence[Line]) -> bytes:
    """Return the signature file of `lines`."""
    shown = "".join(f"{line.key} {base64.b64encode(line.signature).decode()}\n" for line in lines)
    return f"{HEADING}\n{shown}".encode()


def key_text(public: bytes) -> str:
    """Return a public key as it stands in `plugins.trusted_keys`."""
    return PREFIX + base64.b64encode(public).decode()
