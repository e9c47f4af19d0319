"""Ports that a server can be started on again and again."""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Below those that the kernel gives to whoever connects: one of them would take the port of a server that was killed,
# and a client that calls it again and again could be connected to itself.
_PORTS = range(15_000, 32_000)


@contextmanager
def reserved_port() -> Iterator[int]:
    """Hold a free loopback port for the length of the block: other tests that run now get others."""
    directory = Path(tempfile.gettempdir()) / f"prx-test-ports-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    while True:
        port = random.choice(_PORTS)  # noqa: S311  # not for secrets
        descriptor = os.open(directory / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if _locked(descriptor) and _is_free(port):
                yield port
                return
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
