"""A gzipped tar, read as a stream and never extracted: plain files and directories, with every size bounded.

Not `tarfile`: what that repairs or follows for the sake of old archives (long names, sparse files, links, sizes and
names in extended headers) is what an attacker writes, and nothing that a package needs.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from prx.plugins.errors import LoadError

MAX_ENTRIES = 1024
MAX_NAME_BYTES = 255
_BLOCK = 512
_CHUNK = 64 * 1024
_MAX_EXTENSION_BYTES = 64 * 1024
_SHOWN = 80

_DRIVE = re.compile(r"[A-Za-z]:")
_OCTAL = re.compile(rb" *([0-7]{1,12})[ \0]*")
_FILE, _DIRECTORY, _EXTENSIONS = (b"0", b"\0"), b"5", (b"x", b"g")
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a named pipe",
    b"S": "a sparse file",
    b"L": "a name of more than 100 bytes in a header of its own",
    b"K": "a link of more than 100 bytes",
}
# Keys of extended headers that say nothing about name, size or content. Others would make two readers see two files.
_INERT = re.compile(
    rb"(mtime|atime|ctime|uid|gid|uname|gname|comment|(SCHILY|LIBARCHIVE)\.[\x21-\x3c\x3e-\x7e]+)"
)
_RECORD = re.compile(rb"([1-9][0-9]{0,5}) ([^=\0\n]+)=")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or directory of an archive."""

    name: str
    """Relative, its parts joined by "/", none of them "." or ".."."""
    size: int
    directory: bool


class Archive:
    """The entries of one archive, in their order; each one's content can be read until the next is asked for."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        """Read `file` from where it stands; unpacked, the archive has `most` bytes at most."""
        self._stream = _Inflater(file, most)
        self._unread = 0
        self._padding = 0

    def entries(self) -> Iterator[Entry]:
        """Go through the archive to its end.

        Raises:
            LoadError: it is damaged, cut short, too large, or holds what no package needs; says which and why.
        """
        count = 0
        while (header := self._stream.exactly(_BLOCK)).strip(b"\0"):
            count += 1
            if count > MAX_ENTRIES:
                raise LoadError(
                    f"the package holds more than {MAX_ENTRIES} entries: leave out what it does not need"
                )
            size, kind = _checked(header), header[156:157]
            if kind in _EXTENSIONS:
                self._check_extension(size)
                continue
            entry = _entry(header, kind, size)
            self._unread, self._padding = size, -size % _BLOCK
            if entry is not None:
                yield entry
            for _ in self.content():  # what the caller left
                pass
            self._stream.exactly(self._padding)
        while rest := self._stream.some(_CHUNK):
            if rest.strip(b"\0"):
                raise LoadError(
                    "the package holds something after its end: pack it again with `prx plugin pack`"
                )

    def content(self) -> Iterator[bytes]:
        """Give the content of the entry at hand, or the rest of it, piece by piece.

        Raises:
            LoadError: the archive is damaged or cut short.
        """
        while self._unread:
            piece = self._stream.some(min(_CHUNK, self._unread))
            if not piece:
                raise _cut_short()
            self._unread -= len(piece)
            yield piece

    def _check_extension(self, size: int) -> None:
        if size > _MAX_EXTENSION_BYTES:
            raise LoadError(
                f"the package has an extended header of {size} bytes, at most {_MAX_EXTENSION_BYTES} are allowed: "
                "pack it again with `prx plugin pack`"
            )
        rest = self._stream.exactly(size)
        self._stream.exactly(-size % _BLOCK)
        while rest:
            record = _RECORD.match(rest)
            length = int(record[1]) if record is not None else 0
            if record is None or not record.end() < length <= len(rest) or rest[length - 1 : length] != b"\n":
                raise LoadError(
                    "the package has a damaged extended header: pack it again with `prx plugin pack`"
                )
            if not _INERT.fullmatch(record[2]):
                raise LoadError(
                    f'the package sets "{shown(record[2])}" in an extended header, which could hide what it holds: '
                    "pack it again with `prx plugin pack`"
                )
            rest = rest[length:]


class _Inflater:
    """What one gzip member unpacks to."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._gzip = zlib.decompressobj(wbits=31)  # gzip alone, its checksum verified
        self._most = self._left = most

    def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        pieces = []
        while size:
            piece = self.some(size)
            if not piece:
                raise _cut_short()
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def some(self, most: int) -> bytes:
        """Return up to `most` bytes, at least one, or none at the end."""
        while not self._gzip.eof:
            packed = self._gzip.unconsumed_tail or self._file.read(_CHUNK)
            try:
                data = self._gzip.decompress(packed, most)
            except zlib.error as error:
                raise LoadError(
                    "the package is damaged or no gzipped tar: copy it again, or pack it with `prx plugin pack`"
                ) from error
            self._left -= len(data)
            if self._left < 0:
                raise LoadError(
                    f"the package unpacks to more than {self._most} bytes: leave out what it does not need"
                )
            if data:
                return data
            if not packed and not self._gzip.eof:
                raise _cut_short()
        if self._gzip.unused_data or self._file.read(1):
            raise LoadError(
                "the package has something behind its compressed data: pack it again with `prx plugin pack`"
            )
        return b""


def shown(name: bytes | str) -> str:
    """Return a name from an archive as it may stand in a message."""
    text = name.decode(errors="backslashreplace") if isinstance(name, bytes) else name
    return text[:_SHOWN].encode("unicode_escape").decode()


def checked_name(raw: bytes | str) -> str:
    """Return the name of an entry without a leading "./".

    Raises:
        LoadError: it leads out of the package, or other systems read it as another one.
    """
    try:
        name = raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError as error:
        raise LoadError(f'the package holds "{shown(raw)}", a name that is not UTF-8: rename it') from error
    name = name.removeprefix("./")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise LoadError(
            f'the package holds a name of more than {MAX_NAME_BYTES} bytes, "{shown(name)}...": shorten it'
        )
    why = None
    if name.startswith("/") or _DRIVE.match(name):
        why = "an absolute path"
    elif "\\" in name or not name.isprintable():
        why = "a name with a backslash or a control character"
    elif not {"", ".", ".."}.isdisjoint(name.split("/")):
        why = "a path that leads out of the package or says the same twice"
    if why is not None:
        raise LoadError(
            f'the package holds "{shown(name)}", {why}: names are relative, with "/" between their parts'
        )
    return name


def _checked(header: bytes) -> int:
    """Return the size that `header` gives, once its checksum fits."""
    if _number(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise LoadError(
            "the package is damaged (a header's checksum does not fit): copy it again, or pack it with "
            "`prx plugin pack`"
        )
    size = _number(header[124:136])
    if size is None:
        raise LoadError(
            "the package gives a size in a form that no package needs: pack it with `prx plugin pack`"
        )
    return size


def _entry(header: bytes, kind: bytes, size: int) -> Entry | None:
    """Return what `header` announces; `None` for the root directory, which says nothing."""
    raw = header[:100].partition(b"\0")[0]
    if header[257:263] == b"ustar\0" and header[345]:
        raw = header[345:500].partition(b"\0")[0] + b"/" + raw
    if kind != _DIRECTORY and kind not in _FILE:
        what = _KINDS.get(kind, "of an unknown kind")
        raise LoadError(
            f'the package holds "{shown(raw)}", which is {what}: it may hold plain files and directories; pack it with '
            "`prx plugin pack`"
        )
    if kind in _FILE:
        return Entry(checked_name(raw), size, directory=False)
    if size:
        raise LoadError(
            f'the package holds "{shown(raw)}", a directory with content: pack it again with `prx plugin pack`'
        )
    raw = raw.removesuffix(b"/")
    return None if raw == b"." else Entry(checked_name(raw), 0, directory=True)


def _number(field: bytes) -> int | None:
    digits = _OCTAL.fullmatch(field)
    return int(digits[1], 8) if digits is not None else None


def _cut_short() -> LoadError:
    return LoadError("the package is cut short: copy it again")
