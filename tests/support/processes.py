"""What this process has running."""

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def children() -> list[int]:
    """Return the processes that this one started and that are not reaped yet."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):  # gone since it was listed
            continue
        if int(parent) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def is_running(pid: int) -> bool:
    """Tell whether a process has not ended yet, whoever started it; one that waits to be reaped has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def threads_named(prefix: str) -> list[str]:
    """Return the names of the running threads that begin with `prefix`."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(prefix)]


def open_descriptors() -> int:
    """Return how many file descriptors are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Let this process open nothing more until the block ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_descriptors(), hard))
    # The limit is on a descriptor's number: there may be gaps below it.
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))  # until it fails
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


def resident_mebibytes() -> int:
    """Return how much memory this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


def names_in(directory: Path) -> list[str]:
    """Return the names of what lies in `directory`, in order."""
    return sorted(path.name for path in directory.iterdir())
