"""Reading what lies in the plugins directory: regular files, never a link that leads elsewhere or a pipe that waits."""

import errno
import os
import stat
from pathlib import Path

from prx.plugins.errors import LoadError

MAX_WASM_BYTES = 128 * 1024 * 1024


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of the file at `path`, which has `most` bytes at most.

    Raises:
        LoadError: it is missing, larger, or no regular file.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise LoadError(f"{path.name} has {size} bytes, at most {most} are allowed")
            return file.read(size)
    except OSError as error:
        raise LoadError(f"{path.name} cannot be read: {error.strerror}") from error


def open_regular(path: Path) -> int:
    """Return a descriptor of the regular file at `path`, which the caller closes.

    Raises:
        LoadError: it is a link, a pipe, a directory or a device.
        OSError: it cannot be opened.
    """
    try:
        # Not to block: opening a pipe would wait for its writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LoadError(f"{path.name} is not a regular file: put the file itself there")
    return descriptor


def refuse_links(directory: Path, inside: Path) -> None:
    """Refuse a directory on the way from `directory` to the file `inside` it that is a link.

    Raises:
        LoadError: names it.
    """
    for part in list(inside.relative_to(directory).parents)[:-1]:
        try:
            linked = (directory / part).is_symlink()
        except OSError as error:
            raise LoadError(f"{part} cannot be read: {error.strerror}") from error
        if linked:
            raise _link(part)


def _link(path: Path) -> LoadError:
    return LoadError(f"{path.name} is a symbolic link: put the file itself into the plugin's directory")
