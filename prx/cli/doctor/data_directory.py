"""The data directory: whose it is, who else may look, and what a crash left behind."""

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from prx.cli.doctor.findings import Finding, Site
from prx.core.private_file import PrivateFile
from prx.runtime.process import URL_NAME, data_dir_lock

_FOR_OTHERS: Final = 0o077
_PRIVATE: Final = (
    "prx.db",
    "prx.db-wal",
    "prx.db-shm",
    "overlay.toml",
    "tokens.json",
    "secrets.json",
    "secrets.key",
    "mcp-logins.json",
    "generations",
    "cache",
    "cache/key",
    "logs",
)
# What `PrivateFile` writes before it takes the place of the file, with a file whose lock covers it.
_UNFINISHED: Final = {
    "overlay.toml.tmp": "overlay.toml",
    "tokens.json.tmp": "tokens.json",
    "secrets.json.tmp": "secrets.json",
    "secrets.key.tmp": "secrets.json",
    "mcp-logins.json.tmp": "mcp-logins.json",
}


def data_directory(site: Site) -> Iterator[Finding]:
    """Check that the directory is there, belongs to this user, can be written and is closed to others."""
    directory = site.data_dir
    try:
        about = directory.stat()
    except FileNotFoundError:
        yield Finding(
            f"the data directory {directory} does not exist",
            "the daemon keeps everything there",
            "nothing: the daemon makes it when it starts",
            "advice",
            partial(_make, directory),
        )
        return
    if not stat.S_ISDIR(about.st_mode):
        yield Finding(
            f"the data directory {directory} is a file",
            "the daemon does not start",
            "move it away, or set another daemon.data_dir",
        )
        return
    if not _is_ours(about):
        yield Finding(
            f"the data directory {directory} belongs to {_name(about.st_uid)}, and you are {_name(os.geteuid())}",
            "what you cannot read is not checked, and a daemon started by you would fail or leave files that the other "
            "one cannot read",
            f"run prx as {_name(about.st_uid)}: sudo -u {_name(about.st_uid)} prx doctor",
        )
        return
    if not os.access(directory, os.W_OK | os.X_OK):
        yield Finding(
            f"the data directory {directory} cannot be written",
            "the daemon does not start, or loses what it should keep",
            f"make it writable for {_name(about.st_uid)}: chmod u+rwx {directory}, or remount its file system",
        )
    if about.st_mode & _FOR_OTHERS:
        yield _open_to_others(directory, about)
    for name in _PRIVATE:
        with suppress(FileNotFoundError):
            yield from _private(directory / name, owner=about.st_uid)


def leftovers(site: Site) -> Iterator[Finding]:
    """Find what programs that were killed left in the data directory."""
    if not site.readable:
        return
    for name, locked in _UNFINISHED.items():
        path = site.data_dir / name
        if path.exists():
            yield Finding(
                f"{path} was left by a command that was killed while it wrote",
                "it takes space, and holds what may be secret",
                "delete it; the next command that writes does so too",
                "advice",
                partial(_remove_unfinished, path, site.data_dir / locked),
            )
    if site.pid is None and (path := site.data_dir / URL_NAME).exists():
        yield Finding(
            f"{path} was left by a daemon that was killed",
            "the daemon did not stop in order: its last log lines may say why",
            "nothing: it is replaced when the daemon starts",
            "advice",
            partial(_remove_url, path),
        )


def _private(path: Path, *, owner: int) -> Iterator[Finding]:
    about = path.lstat()
    if about.st_uid != owner:
        yield Finding(
            f"{path} belongs to {_name(about.st_uid)}, and its directory to {_name(owner)}",
            "the daemon cannot read or write it: a command was run as another user",
            f"chown {_name(owner)} {path}, and run prx as {_name(owner)}",
        )
    elif about.st_mode & _FOR_OTHERS and not stat.S_ISLNK(about.st_mode):
        yield _open_to_others(path, about)


def _open_to_others(path: Path, about: os.stat_result) -> Finding:
    mode = stat.S_IMODE(about.st_mode) & ~_FOR_OTHERS
    return Finding(
        f"others may look into {path}: its mode is {stat.S_IMODE(about.st_mode):o}",
        "tokens, secrets and what plugins keep lie there, and compiled code that the daemon runs",
        f"chmod {mode:o} {path}",
        # What belongs to somebody else is not touched, not even by root: they could exchange it meanwhile.
        mend=partial(_close, path, mode) if about.st_uid == os.geteuid() else None,
    )


def _is_ours(about: os.stat_result) -> bool:
    return os.geteuid() in (0, about.st_uid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _make(directory: Path) -> str:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"made {directory}, for you alone"


def _close(path: Path, mode: int) -> str:
    path.chmod(mode)
    return f"set the mode of {path} to {mode:o}"


def _remove_unfinished(path: Path, locked: Path) -> str:
    with PrivateFile(locked, max_bytes=0).locked():
        path.unlink(missing_ok=True)
    return f"deleted {path}"


def _remove_url(path: Path) -> str:
    with data_dir_lock(path.parent):  # no daemon starts meanwhile
        path.unlink(missing_ok=True)
    return f"deleted {path}"
