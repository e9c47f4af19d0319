"""`filesystem_allowlist`: the directories that a plugin may see, as its manifest names them and as they are here."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Final, Self

MAX_DIRECTORIES: Final = 16
_MAX_PATH_BYTES: Final = 1024
_READ_ONLY, _READ_WRITE = ":ro", ":rw"
# What lies there is the kernel's: through it a guest would reach the daemon's own memory and environment.
_KERNEL: Final = (Path("/proc"), Path("/sys"), Path("/dev"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One directory with what a guest may do there, parsed."""

    path: PurePosixPath
    writable: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an absolute path, with `:rw` or `:ro` at its end or neither, which is `:ro`.

        Raises:
            ValueError: it is nothing of the kind; says why.
        """
        path = text.removesuffix(_READ_WRITE) if text.endswith(_READ_WRITE) else text.removesuffix(_READ_ONLY)
        if not path.startswith("/") or path.startswith("//"):
            raise ValueError(f'"{text}": must be an absolute path, such as /srv/notes or /srv/notes:rw')
        if ".." in path.split("/"):
            raise ValueError(f'"{text}": must not hold "..": name the directory itself')
        if not path.isprintable() or len(path.encode(errors="replace")) > _MAX_PATH_BYTES:
            raise ValueError(f"{text[:80]!r}: must be printable text of at most {_MAX_PATH_BYTES} bytes")
        return cls(PurePosixPath(path), text.endswith(_READ_WRITE))

    def __str__(self) -> str:
        """Return it with its mode written out."""
        return f"{self.path}{_READ_WRITE if self.writable else _READ_ONLY}"

    def covers(self, other: "Entry") -> bool:
        """Tell whether whoever may use this one may use `other`."""
        return other.path.is_relative_to(self.path) and (self.writable or not other.writable)


def check_entries(texts: Sequence[str]) -> None:
    """Refuse a `filesystem_allowlist` that is not clear.

    Raises:
        ValueError: an entry is unfit, there are too many, or two are at odds.
    """
    if len(texts) > MAX_DIRECTORIES:
        raise ValueError(f"has {len(texts)} entries: at most {MAX_DIRECTORIES} directories can be granted")
    _refuse_clash([Entry.parse(text) for text in texts])


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory that a plugin asks for, with the place where it really lies."""

    asked: Entry
    real: Entry
    """Without symbolic links: what the operator consents to, so that nobody turns a link to another place later."""

    @property
    def shown(self) -> str:
        """For people: the entry, and where it leads if that is elsewhere."""
        return str(self.real) if self.asked == self.real else f"{self.asked} (which is {self.real.path})"

    @contextmanager
    def opened(self) -> Iterator[str]:
        """Give a path that leads to this very directory for the length of the block, whoever renames what.

        Raises:
            OSError: it is gone, or is not where it was when the plugin was loaded.
        """
        descriptor = os.open(self.real.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            opened = Path(f"/proc/self/fd/{descriptor}")
            # A component of the path may have become a link: the guest of another plugin may write beside it.
            if opened.readlink() != Path(self.real.path):
                raise NotADirectoryError(f"{self.real.path} leads elsewhere now; reload the plugin")
            yield str(opened)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Found:
    """The entries of one manifest, looked up."""

    directories: tuple[Directory, ...] = ()
    faults: tuple[str, ...] = ()
    """Why the others cannot be used."""


def find(texts: Iterable[str], private: Iterable[Path]) -> Found:
    """Look up the entries of a checked `filesystem_allowlist`; blocks on the file system.

    `private` are directories that no guest may see, nor what holds them.
    """
    directories: list[Directory] = []
    faults: list[str] = []
    kept = [Path(os.path.realpath(path)) for path in private]
    for text in texts:
        asked = Entry.parse(text)
        try:
            real = Entry(_real(asked, kept), asked.writable)
            _refuse_clash([*(known.real for known in directories), real])
        except ValueError as error:
            faults.append(f'filesystem_allowlist: "{asked}": {error}')
        else:
            directories.append(Directory(asked, real))
    return Found(tuple(directories), tuple(faults))


def _real(asked: Entry, private: Iterable[Path]) -> PurePosixPath:
    """Return where `asked` really lies.

    Raises:
        ValueError: it is no directory that the daemon can use, or none that a guest may see.
    """
    try:
        real = Path(os.path.realpath(asked.path, strict=True))
    except OSError as error:
        raise ValueError(f"{error.strerror}: create the directory, then reload the plugin") from error
    if not real.is_dir():
        raise ValueError("is not a directory")
    if not str(real).isprintable():
        raise ValueError("leads to a directory whose name is not printable text")
    if real == Path("/") or any(real.is_relative_to(kernel) for kernel in _KERNEL):
        raise ValueError(f"leads to {real}, which no plugin is given: name a directory of data")
    for kept in private:
        if real.is_relative_to(kept) or kept.is_relative_to(real):
            relation = "lies in" if real.is_relative_to(kept) else "holds"
            raise ValueError(f"{relation} {kept}, the daemon's own: name a directory apart from it")
    if not os.access(real, os.R_OK | os.X_OK | (os.W_OK if asked.writable else 0)):
        raise ValueError(f"the daemon's user may not {'write' if asked.writable else 'read'} there")
    return PurePosixPath(real)


def _refuse_clash(entries: Sequence[Entry]) -> None:
    """Refuse two of `entries` that are one directory, or one in the other with another mode.

    Raises:
        ValueError: there are two; names them.
    """
    for one, other in combinations(entries, 2):
        if one.path == other.path:
            raise ValueError(f"names {one.path} twice: keep one entry, with the mode that is meant")
        nested = one.path.is_relative_to(other.path) or other.path.is_relative_to(one.path)
        if nested and one.writable != other.writable:
            raise ValueError(
                f"of {one} and {other} one lies in the other, with another mode: give both the same, or drop one"
            )
