"""The process among others: its exit codes, its lock on the data directory, its pid file."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from prx.core.errors import ConfigError, PrxError
from prx.runtime.logging import get_logger

_LOCK_NAME = "prx.lock"
_LOCK_WAIT_SECS = 0.3
_LOCK_POLL_SECS = 0.02
URL_NAME = "prx.url"

_log = get_logger("process")


class ExitCode(IntEnum):
    """What the daemon tells whoever started it."""

    STOPPED = 0
    CRASHED = 1
    BAD_CONFIGURATION = 2
    ALREADY_RUNNING = 3
    ADDRESS_IN_USE = 4


class AlreadyRunningError(PrxError):
    """Another daemon holds the data directory."""

    code = "already_running"


class AddressInUseError(PrxError):
    """Another program listens where the daemon should."""

    code = "address_in_use"


def exit_code_of(error: PrxError) -> ExitCode:
    """Return the code that the process ends with because of `error`."""
    match error:
        case ConfigError():
            return ExitCode.BAD_CONFIGURATION
        case AlreadyRunningError():
            return ExitCode.ALREADY_RUNNING
        case AddressInUseError():
            return ExitCode.ADDRESS_IN_USE
        case _:
            return ExitCode.CRASHED


def open_standard_descriptors() -> None:
    """Open stdin, stdout and stderr on /dev/null where they are closed.

    A closed one would be given to the next file that is opened, and log lines would be written into the store.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


@contextmanager
def data_dir_lock(data_dir: Path) -> Iterator[None]:
    """Make `data_dir` (0700) and hold it alone for the length of the block; a crash gives it free.

    Raises:
        AlreadyRunningError: another process holds it; names its pid.
        ConfigError: it cannot be made or written.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"daemon.data_dir: {data_dir} cannot be used: {error.strerror}; "
            "make it writable for this user, or set another"
        ) from error
    with os.fdopen(descriptor, "r+") as file:
        if not _locked(descriptor):
            holder = file.read(20).strip() or "unknown"
            raise AlreadyRunningError(
                f"another prx daemon (pid {holder}) uses the data directory {data_dir}: "
                "stop it, or set another daemon.data_dir"
            )
        with suppress(OSError):  # a full disk: only who holds the lock cannot be told
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield


def _locked(descriptor: int) -> bool:
    # A command that looks whether a daemon runs has the lock for a moment: that must not keep one from starting.
    deadline = time.monotonic() + _LOCK_WAIT_SECS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOCK_POLL_SECS)
        else:
            return True


@contextmanager
def pid_file(path: Path) -> Iterator[None]:
    """Keep the process's pid in `path` for the length of the block.

    Raises:
        ConfigError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(f"{os.getpid()}\n")
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(
            f"--pid-file: {path} cannot be written: {error.strerror}; choose a writable directory"
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


class Address(NamedTuple):
    """Where a daemon listens."""

    url: str
    certificate: str | None = None
    """The SHA-256 of the certificate that it shows, in hexadecimal digits; None without TLS."""


@contextmanager
def announced(data_dir: Path, address: Address) -> Iterator[None]:
    """Tell the command line on this machine where the daemon listens, for the length of the block.

    Where that cannot be written, the daemon serves all the same, and the command line must be told the address.
    """
    path = data_dir / URL_NAME
    temporary = data_dir / f"{URL_NAME}.new"
    path.unlink(missing_ok=True)  # one that was killed listened elsewhere
    try:
        temporary.write_text("\n".join(part for part in address if part is not None))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        _log.warning("the command line cannot find this daemon", path=str(path), reason=error.strerror)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def daemon_address(data_dir: Path) -> Address | None:
    """Return where the daemon of `data_dir` listens; `None` when none runs, even if one was killed."""
    try:
        url, _, certificate = (data_dir / URL_NAME).read_text().partition("\n")
        return Address(url, certificate or None) if daemon_pid(data_dir) is not None else None
    except OSError:
        return None


def daemon_pid(data_dir: Path) -> str | None:
    """Return the process id of the daemon of `data_dir`, "unknown" where it could not tell; `None` when none runs.

    Raises:
        OSError: this user may not look.
    """
    try:
        with (data_dir / _LOCK_NAME).open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:  # somebody holds the lock: it runs
                return lock.read(20).strip() or "unknown"
    except FileNotFoundError:
        pass
    return None
