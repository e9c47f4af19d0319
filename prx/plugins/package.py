"""`.prxplugin`: a plugin as one file, read with every bound and checked against its own checksums."""

import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from prx.plugins.archive import Archive, Entry, checked_name, shown
from prx.plugins.errors import LoadError
from prx.plugins.files import MAX_WASM_BYTES, open_regular
from prx.plugins.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, parse_manifest

SUFFIX = ".prxplugin"
CHECKSUMS_NAME = "checksums.sha256"
SIGNATURE_NAME = "plugin.sig"
MAX_SIGNATURE_BYTES = 8 * 1024
MAX_PACKAGE_BYTES = MAX_WASM_BYTES + 16 * 1024 * 1024
"""Of the file and of what it unpacks to."""
_MAX_CHECKSUMS_BYTES = 512 * 1024

SKILLS = "skills/"
_DOCUMENT = re.compile(r"(README|LICENSE|CHANGELOG)([.-][A-Za-z0-9]+)*")
_KEPT = {
    MANIFEST_NAME: MAX_MANIFEST_BYTES,
    CHECKSUMS_NAME: _MAX_CHECKSUMS_BYTES,
    SIGNATURE_NAME: MAX_SIGNATURE_BYTES,
}
_NOT_COVERED = {CHECKSUMS_NAME, SIGNATURE_NAME}
_LINE = re.compile(r"([0-9A-Fa-f]{64}) [ *]([^\n\r]+)")

_GZIP = b"\x1f\x8b"
_SMALLEST_GZIP = 20
_SMALLEST_TAR, _TAR_BLOCK = 1024, 512


@dataclass(frozen=True, slots=True)
class Package:
    """A package, read and checked against its checksums."""

    manifest: Manifest
    manifest_text: bytes
    component: bytes
    signature: bytes | None


def read_package(path: Path) -> Package:
    """Read the package at `path`; nothing of it is written anywhere.

    Raises:
        LoadError: it is damaged, too large, or holds what a package must not; says what and what to do.
    """
    held = _Held()
    with open_package(path) as archive:
        for entry in archive.entries():
            held.take(entry, archive.content())
    return held.package()


def read_package_manifest(path: Path) -> Manifest:
    """Return the manifest of the package at `path`, of which no more is read than it takes.

    Raises:
        LoadError: it is not there, or what comes before it is damaged.
    """
    with open_package(path) as archive:
        for entry in archive.entries():
            if entry.name == MANIFEST_NAME and not entry.directory:
                _check_size(entry, MAX_MANIFEST_BYTES)
                return parse_manifest(b"".join(archive.content()))
    raise _missing(MANIFEST_NAME)


def package_name(manifest: Manifest) -> str:
    """Return how the file of a package is named."""
    return f"{manifest.plugin.name}-{manifest.plugin.version}{SUFFIX}"


def is_extra(name: str) -> bool:
    """Tell whether a file of this name may lie in a package although the plugin runs without it."""
    return name.startswith(SKILLS) or _DOCUMENT.fullmatch(name) is not None


def is_cut_short(path: Path) -> bool:
    """Tell whether the package looks like one that is still being written: it begins as gzip does and ends as none.

    Raises:
        LoadError: it is no regular file.
        OSError: it cannot be read.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not _GZIP.startswith(file.read(len(_GZIP))):
            return False
        if size < _SMALLEST_GZIP:
            return True
        # A gzip ends with the size of its content, a tar has whole blocks: data of which more follows rarely does both.
        file.seek(-4, os.SEEK_END)
        unpacked = int.from_bytes(file.read(4), "little")
        return not _SMALLEST_TAR <= unpacked <= MAX_PACKAGE_BYTES or unpacked % _TAR_BLOCK != 0


class _Held:
    """What a package holds, taken entry by entry."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._digests: dict[str, str] = {}
        self._kept: dict[str, bytes] = {}
        self._component: str | None = None
        """The one file that is neither known by name nor an extra; only the manifest tells whether it is right."""

    def take(self, entry: Entry, content: Iterable[bytes]) -> None:
        """Read one entry.

        Raises:
            LoadError: it is there twice, too large, or has no place in a package.
        """
        # Names that differ in case alone are one file on some systems.
        if entry.name.casefold() in self._names:
            raise LoadError(
                f'the package holds "{shown(entry.name)}" twice: pack it again with `prx plugin pack`'
            )
        self._names.add(entry.name.casefold())
        if entry.directory:
            return
        digest = hashlib.sha256()
        if is_extra(entry.name):
            for piece in content:
                digest.update(piece)
        else:
            self._kept[entry.name] = self._read(entry, content)
            digest.update(self._kept[entry.name])
        self._digests[entry.name] = digest.hexdigest()

    def _read(self, entry: Entry, content: Iterable[bytes]) -> bytes:
        most = _KEPT.get(entry.name)
        if most is None:
            if self._component is not None:
                raise _unknown(max(entry.name, self._component, key=lambda name: not name.endswith(".wasm")))
            self._component, most = entry.name, MAX_WASM_BYTES
        _check_size(entry, most)
        # Its buffer becomes the bytes without a copy, which may be 128 MiB.
        buffer = io.BytesIO()
        for piece in content:
            buffer.write(piece)
        return buffer.getvalue()

    def package(self) -> Package:
        """Return what was taken.

        Raises:
            LoadError: a file is missing, not listed, or not what its checksum says.
        """
        for name in (MANIFEST_NAME, CHECKSUMS_NAME):
            if name not in self._kept:
                raise _missing(name)
        self._check_sums(_parse_sums(self._kept[CHECKSUMS_NAME]))
        manifest = parse_manifest(self._kept[MANIFEST_NAME])
        wanted = PurePosixPath(manifest.plugin.wasm).as_posix()
        if self._component not in (None, wanted):
            raise _unknown(self._component)
        if self._component is None:
            raise LoadError(
                f'the package lacks its component "{shown(wanted)}", which {MANIFEST_NAME} names: pack it again with '
                "`prx plugin pack`"
            )
        return Package(
            manifest, self._kept[MANIFEST_NAME], self._kept[wanted], self._kept.get(SIGNATURE_NAME)
        )

    def _check_sums(self, listed: dict[str, str]) -> None:
        covered = self._digests.keys() - _NOT_COVERED
        for name in sorted(covered | listed.keys()):
            if name not in listed:
                why = f'the package holds "{shown(name)}", which {CHECKSUMS_NAME} does not list'
            elif name not in covered:
                why = f'{CHECKSUMS_NAME} lists "{shown(name)}", which is no file that it covers'
            elif listed[name] != self._digests[name]:
                why = f'"{shown(name)}" is not what its checksum says'
            else:
                continue
            raise LoadError(
                f"{why}: get the package again from its author, who packs it with `prx plugin pack`"
            )


@contextmanager
def open_package(path: Path) -> Iterator[Archive]:
    """Give the archive at `path`, nothing in it checked yet.

    Raises:
        LoadError: it is too large, no regular file, or cannot be read.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_PACKAGE_BYTES:
                raise LoadError(
                    f"the package has {size} bytes, at most {MAX_PACKAGE_BYTES} are allowed: leave out what it does "
                    "not need"
                )
            yield Archive(file, MAX_PACKAGE_BYTES)
    except OSError as error:
        raise LoadError(f"{path.name} cannot be read: {error.strerror}") from error


def _check_size(entry: Entry, most: int) -> None:
    if entry.size > most:
        raise LoadError(f"{shown(entry.name)} has {entry.size} bytes, at most {most} are allowed")


def _parse_sums(text: bytes) -> dict[str, str]:
    try:
        lines = text.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise LoadError(f"{CHECKSUMS_NAME} is not UTF-8 text (byte {error.start})") from error
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        found = _LINE.fullmatch(line)
        if found is None:
            raise LoadError(
                f'{CHECKSUMS_NAME}, line {number}: "{shown(line)}" is not a line of `sha256sum`: a digest, two spaces '
                "and a name"
            )
        name = checked_name(found[2])
        if name in sums:
            raise LoadError(f'{CHECKSUMS_NAME} lists "{shown(name)}" twice: leave one line')
        sums[name] = found[1].lower()
    return sums


def _missing(name: str) -> LoadError:
    return LoadError(f"the package lacks {name}: pack it with `prx plugin pack`")


def _unknown(name: str | None) -> LoadError:
    return LoadError(
        f'the package holds "{shown(name or "")}", which no package holds: beside {MANIFEST_NAME}, its component, '
        f"{CHECKSUMS_NAME} and {SIGNATURE_NAME} there may be README, LICENSE, CHANGELOG and {SKILLS}"
    )
