"""The store: whether it can be read, is whole, is of this version, and has room to grow."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from prx.cli.doctor.findings import Finding, Site
from prx.cli.output import size
from prx.runtime.migrations import MIGRATIONS

_LEAST_FREE_BYTES: Final = 256 * 1024 * 1024
_LONGEST_SECS: Final = 20.0
_STEPS_BETWEEN_LOOKS: Final = 100_000
_FROM_BACKUP: Final = (
    "stop the daemon, then restore the file from a backup, or move it away to begin with an empty one"
)


def store_path(site: Site) -> Path:
    """Return where the store lies."""
    return site.data_dir / "prx.db"


def open_store(path: Path) -> sqlite3.Connection:
    """Open the store for reading, beside a daemon that uses it.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5.0)


def store(site: Site) -> Iterator[Finding]:
    """Check the file's schema version and its pages."""
    path = store_path(site)
    if not (site.readable and path.exists()):
        return
    try:
        with closing(open_store(path)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            yield from _of_version(path, version)
            yield from _damage(path, connection)
    except sqlite3.Error as error:
        yield Finding(
            f"the store {path} cannot be read: {error}",
            "plugins' values, grants, quarantines and memory are in it; the daemon does not start without it",
            _FROM_BACKUP,
        )


def disk_space(site: Site) -> Iterator[Finding]:
    """Check that the data directory's disk has room."""
    if not site.readable:
        return
    free = shutil.disk_usage(site.data_dir).free
    if free < _LEAST_FREE_BYTES:
        yield Finding(
            f"the disk of {site.data_dir} has {size(free)} left",
            "without room the daemon refuses what must be kept: plugins' values, decisions, tokens, compiled code",
            f"free some space there: at least {size(_LEAST_FREE_BYTES)}",
        )


def _of_version(path: Path, version: int) -> Iterator[Finding]:
    known = len(MIGRATIONS)
    if version > known:
        yield Finding(
            f"the store {path} has schema version {version}, and this PRX knows versions up to {known}",
            "a newer PRX wrote it: this one does not start with it",
            "start the newer PRX, or use another daemon.data_dir",
        )
    elif version < known:
        yield Finding(
            f"the store {path} has schema version {version}, and this PRX brings it to {known}",
            "that cannot be undone: an older PRX does not read it afterwards",
            f"before you start this PRX, keep a copy: sqlite3 {path} \".backup '{path}.backup'\"",
            "advice",
        )


def _damage(path: Path, connection: sqlite3.Connection) -> Iterator[Finding]:
    deadline = time.monotonic() + _LONGEST_SECS
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        found = [text for (text,) in connection.execute("PRAGMA integrity_check(3)")]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        yield Finding(
            f"the store {path} is too large to be checked within {_LONGEST_SECS:g} s",
            "damage would only show when it is read",
            f'check it yourself, when there is time: sqlite3 {path} "PRAGMA integrity_check"',
            "advice",
        )
        return
    if found != ["ok"]:
        yield Finding(
            f"the store {path} is damaged: {'; '.join(found)}",
            "calls that need the damaged part fail, and more may be lost with each change",
            _FROM_BACKUP,
        )
