"""Changing the plugins directory by renames alone: a crash at any moment leaves what was there or what is to be.

What is on its way in or out lies in a directory of its own beside the plugins, under a name that begins with a dot,
which a scan ignores. Everything here blocks on the file system: nothing is for the event loop.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from prx.core.errors import UnavailableError
from prx.plugins.errors import LoadError
from prx.plugins.signing import parse, text_of
from prx.plugins.sources import Source, signature_path

_COMING, _GOING = ".prx-new.", ".prx-gone."
# In the room of a plugin on its way out: what is to be forgotten of whom, and its files.
_NOTE, _FILES = "note", "files"
_KEEP, _PURGE = "keep the data of ", "purge the data of "


@dataclass(frozen=True, slots=True)
class Upload:
    """A plugin on its way in: its file, and the signature of a bare one beside it."""

    room: Path
    """Its directory, for it alone."""
    path: Path

    @classmethod
    def of(cls, directory: Path, name: str) -> "Upload":
        """Choose a room in the plugins directory for a file called `name`; nothing is made yet."""
        room = directory / f"{_COMING}{secrets.token_hex(8)}"
        return cls(room, room / name)

    def begin(self) -> None:
        """Make the room, and the plugins directory where it is missing.

        Raises:
            UnavailableError: the directory cannot be written.
        """
        with told(self.room.parent):
            self.room.parent.mkdir(parents=True, exist_ok=True)
            self.room.mkdir()

    def discard(self) -> None:
        """Remove what is left of it."""
        shutil.rmtree(self.room, ignore_errors=True)


class Writer:
    """One file on its way in, written piece by piece."""

    def __init__(self, path: Path) -> None:
        """Stand for a file at `path`, which `open` makes."""
        self._path = path
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Make the file.

        Raises:
            UnavailableError: there is one, or it cannot be made.
        """
        with told(self._path):
            self._file = self._path.open("xb")

    def write(self, piece: bytes) -> None:
        """Add `piece`.

        Raises:
            UnavailableError: the disk is full, say.
        """
        with told(self._path):
            self._opened.write(piece)

    def finish(self) -> None:
        """Have all of it on disk.

        Raises:
            UnavailableError: as `write`.
        """
        with told(self._path):
            self._opened.flush()
            os.fsync(self._opened.fileno())

    def close(self) -> None:
        """Close the file, whatever is in it."""
        with suppress(OSError):  # on a full disk this tries to write what is left
            if self._file is not None:
                self._file.close()

    @property
    def _opened(self) -> BinaryIO:
        assert self._file is not None  # noqa: S101  # written to after `open`
        return self._file


@dataclass(frozen=True, slots=True)
class Placed:
    """A plugin that was put in place, and what it replaced."""

    path: Path
    before: Path | None
    """Where the version before it lay."""
    kept: Path
    """A second name of that version's file, in the upload's room."""
    kept_signature: bytes | None

    def undo(self) -> None:
        """Put the version before it back, or remove it where there was none.

        Raises:
            UnavailableError: the directory cannot be written.
        """
        with told(self.path):
            if self.before is None:
                self.path.unlink(missing_ok=True)
                if self.path.suffix == ".wasm":
                    _beside(self.path).unlink(missing_ok=True)
            else:
                if self.path != self.before:
                    self.path.replace(self.before)
                _replace(self.kept, self.before, self.kept_signature)
            _on_disk(self.path.parent)


def place(upload: Upload, target: Path, before: Path | None) -> Placed:
    """Put an upload at `target`, in the place of the version at `before`: at every moment there is exactly one of them.

    Raises:
        UnavailableError: the directory cannot be written; nothing has changed.
    """
    with told(target):
        placed = Placed(target, before, upload.room / "before", _signature_of(target))
        if before is not None:
            _link(before, placed.kept)
        _replace(upload.path, target if before is None else before, _signature_of(upload.path))
        if before is not None and before != target:
            before.rename(target)
        _on_disk(target.parent)
    return placed


def _replace(file: Path, path: Path, signature: bytes | None) -> None:
    """Put `file` at `path` and `signature` beside it; at no moment does a file lie beside another one's signature."""
    beside, before = _beside(path), _signature_of(path)
    if signature is None:
        if before is not None:
            beside.unlink(missing_ok=True)
        file.replace(path)
        return
    if before is not None:
        both = signature
        with suppress(LoadError):  # the old one was worth nothing
            both = text_of([*parse(signature), *parse(before)])
        _write(file.parent, beside, both)
    elif not os.path.lexists(path):
        _write(file.parent, beside, signature)
    file.replace(path)
    _write(file.parent, beside, signature)


@dataclass(frozen=True, slots=True)
class Removed:
    """A plugin that was taken out, and could still be put back."""

    room: Path
    moved: list[tuple[Path, Path]]
    """Where each file came from and where it is."""

    def undo(self) -> None:
        """Put everything back.

        Raises:
            UnavailableError: the directory cannot be written.
        """
        with told(self.room.parent):
            for origin, now in reversed(self.moved):
                now.rename(origin)
        self.delete()

    def delete(self) -> None:
        """Remove it for good; what cannot be is tried again at the next start."""
        shutil.rmtree(self.room, ignore_errors=True)


def take_out(source: Source, name: str, *, purge: bool) -> Removed:
    """Move the plugin's files out of sight, with a note of what is to be forgotten, should the daemon be killed now.

    Raises:
        UnavailableError: the directory cannot be written; everything is where it was.
    """
    removed = Removed(source.path.with_name(f"{_GOING}{secrets.token_hex(8)}"), [])
    beside = signature_path(source) if source.kind == "bare" else None
    with told(source.path):
        try:
            (removed.room / _FILES).mkdir(parents=True)
            (removed.room / _NOTE).write_text((_PURGE if purge else _KEEP) + name, encoding="utf-8")
            for path in (source.path, *([beside] if beside is not None else [])):
                now = removed.room / _FILES / path.name
                with suppress(FileNotFoundError):  # somebody else was quicker, or there is no signature
                    path.rename(now)
                    removed.moved.append((path, now))
            _on_disk(source.path.parent)
        except OSError:
            removed.undo()
            raise
    return removed


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a daemon that was killed left on its way in or out."""

    room: Path
    removed: str | None
    """The plugin that was taken out, about which something is to be forgotten."""
    purge: bool

    def delete(self) -> None:
        """Remove it."""
        shutil.rmtree(self.room, ignore_errors=True)


def leftovers(directory: Path) -> list[Leftover]:
    """Return what a daemon that was killed left in `directory`; nothing where that cannot be read."""
    try:
        with os.scandir(directory) as entries:
            rooms = [Path(entry.path) for entry in entries if entry.name.startswith((_COMING, _GOING))]
    except OSError:
        return []
    return [_leftover(room) for room in rooms]


def _leftover(room: Path) -> Leftover:
    try:
        note = (room / _NOTE).read_text(encoding="utf-8")
        if any((room / _FILES).iterdir()):
            purge = note.startswith(_PURGE)
            return Leftover(room, note.removeprefix(_PURGE if purge else _KEEP), purge)
    except OSError:  # an upload, or nothing was taken out yet
        pass
    return Leftover(room, None, purge=False)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say what failed in the block, and what to do.

    Raises:
        UnavailableError: instead of an `OSError`.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UnavailableError(f"{path} was changed by somebody else meanwhile: try again") from error
    except OSError as error:
        raise UnavailableError(
            f"{path} cannot be changed: {error.strerror}; make room or make the directory writable, then try again",
            retry_after_secs=10,
        ) from error


def _signature_of(path: Path) -> bytes | None:
    """Return the signature beside a bare file; a package has its own inside."""
    try:
        return _beside(path).read_bytes() if path.suffix == ".wasm" else None
    except FileNotFoundError:
        return None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sig")


def _write(room: Path, path: Path, content: bytes) -> None:
    temporary = room / "signature"
    temporary.write_bytes(content)
    temporary.replace(path)


def _link(path: Path, second: Path) -> None:
    try:
        os.link(path, second, follow_symlinks=False)
    except OSError:  # a file system without a second name for a file
        shutil.copyfile(path, second, follow_symlinks=False)


def _on_disk(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
