"""Who listens on a port of this machine, as the kernel tells it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LISTENS: Final = "0A"
_PROC: Final = Path("/proc")


def listeners(port: int) -> list[str]:
    """Return the programs that listen on `port`, as `name (pid)`; those of other users only root sees."""
    inodes = set(_inodes(port))
    return sorted(
        f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        for process in _PROC.glob("[0-9]*")
        if inodes and _holds(process, inodes)
    )


def _inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:  # a machine without IPv6
            continue
        for line in lines:
            cells = line.split()
            if cells[3] == _LISTENS and int(cells[1].rpartition(":")[2], 16) == port:
                yield cells[9]


def _holds(process: Path, inodes: set[str]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        return any(str(link.readlink()) in wanted for link in (process / "fd").iterdir())
    except OSError:  # another user's, or gone meanwhile
        return False
