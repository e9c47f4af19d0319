"""Skills that lie in a directory: `<directory>/<skill>/SKILL.md`, reached without following a link."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from prx.core.skill import MAX_SKILL_BYTES, MAX_SKILLS, SKILL_FILE, SkillFile
from prx.core.text import printable

_MAX_ENTRIES: Final = 1024
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Not to block: opening a pipe would wait for its writer for ever.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Stamp = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class SkillDirectory:
    """One directory; see `SkillShelf`. One that is not there holds no skills."""

    source: str
    path: Path
    may_be_link: bool = False
    """Whether the directory itself may be a link, as the operator's own may; what is in it never may."""

    def stamp(self) -> Stamp:
        """See `SkillShelf.stamp`."""
        try:
            with self._opened() as directory:
                found = [os.fstat(directory)]
                for name in _names(directory):
                    try:
                        found.append(os.stat(f"{name}/{SKILL_FILE}", dir_fd=directory, follow_symlinks=False))
                    except OSError:  # none there; its appearing changes the stamp
                        continue
        except OSError as error:
            return ((error.errno or 0,),)
        return tuple((info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns) for info in found)

    def read(self) -> list[SkillFile]:
        """See `SkillShelf.read`."""
        try:
            with self._opened() as directory:
                return list(islice(self._files(directory), MAX_SKILLS + 1))
        except FileNotFoundError:
            return []
        except OSError as error:
            return [SkillFile(printable(self.path), fault=f"cannot be read: {error.strerror}")]

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self.path, _DIRECTORY | (0 if self.may_be_link else os.O_NOFOLLOW))
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _files(self, directory: int) -> Iterator[SkillFile]:
        names = _names(directory)
        if len(names) > _MAX_ENTRIES:
            fault = f"holds more than {_MAX_ENTRIES} entries, not all of which are looked at"
            yield SkillFile(printable(self.path), fault=fault)
        for name in sorted(names[:_MAX_ENTRIES]):
            path = self.path / name / SKILL_FILE
            try:
                content = _content(directory, name)
            except OSError as error:
                yield SkillFile(printable(path), fault=f"cannot be read: {error.strerror}")
            except _RefusedError as refusal:
                yield SkillFile(printable(path), fault=str(refusal))
            else:
                if content is not None:
                    yield SkillFile(printable(path), content)


class _RefusedError(Exception):
    """The file is there and must not be read."""


def _names(directory: int) -> list[str]:
    """Return what may be a skill's directory, in no order, one more than is looked at if there are more."""
    with os.scandir(directory) as entries:
        found = (
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and not entry.is_file(follow_symlinks=False)
        )
        return list(islice(found, _MAX_ENTRIES + 1))


def _content(root: int, name: str) -> bytes | None:
    """Return the skill's text; `None` where the directory holds none.

    Raises:
        _RefusedError: it is too large, or a link or something else than a file in a directory; says what to do.
        OSError: it cannot be read.
    """
    kind = os.stat(name, dir_fd=root, follow_symlinks=False).st_mode
    if stat.S_ISLNK(kind):
        raise _RefusedError(f'"{name}" is a symbolic link: put the directory itself there')
    if not stat.S_ISDIR(kind):
        return None
    directory = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    try:
        kind = os.stat(SKILL_FILE, dir_fd=directory, follow_symlinks=False).st_mode
        if not stat.S_ISREG(kind):
            what = "a symbolic link" if stat.S_ISLNK(kind) else "no regular file"
            raise _RefusedError(f"is {what}: put the file itself there")
        with os.fdopen(os.open(SKILL_FILE, _FILE, dir_fd=directory), "rb") as file:
            content = file.read(MAX_SKILL_BYTES + 1)
    except FileNotFoundError:
        return None
    finally:
        os.close(directory)
    if len(content) > MAX_SKILL_BYTES:
        raise _RefusedError(f"is larger than {MAX_SKILL_BYTES >> 10} KiB: shorten it")
    return content
