"""Disks that only some processes see: small ones that can be filled, and files that cannot be written."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Mounts:
    """A namespace with mounts of its own, which `launcher` enters."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def launcher(self, directory: Path) -> list[str]:
        """Return the command that runs another one in here, from `directory`."""
        enter = ["nsenter", "--mount", f"--target={self._pid}", f"--wd={directory}"]
        return enter if os.geteuid() == 0 else [*enter, "--user", "--preserve-credentials"]

    def inside(self, path: Path) -> Path:
        """Return where `path` as it is in here can be reached from outside."""
        return Path(f"/proc/{self._pid}/root") / path.relative_to("/")


@contextmanager
def mounts(script: str, *arguments: Path) -> Iterator[Mounts]:
    """Make a namespace for the length of the block; a shell runs `script` in it, with `arguments` as $1, $2, ..."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    holding = f"set -e; {script}; echo made; exec cat"
    command = ["unshare", "--mount", *user, "sh", "-c", holding, "sh", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "made\n"
            yield Mounts(process.pid)
        finally:
            process.stdin.close()  # it ends with its input


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Mounts]:
    """Put an empty disk of `size` in place of the directory `at`."""
    with mounts(f'mount -t tmpfs -o mode=700,size={size} none "$1"', at) as made:
        yield made


def fill(directory: Path) -> Path:
    """Use up the disk that `directory` is on with one file, and return it."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return filler


WITHOUT_CHANGE_NOTICES = [
    "unshare", "--user", "--map-root-user", "sh", "-c",
    'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"', "sh",
]  # fmt: skip
"""The command that runs another one as a user whose watches of files are used up."""
