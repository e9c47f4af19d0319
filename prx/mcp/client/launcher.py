"""Becomes an MCP server's program, on a leash: `python -I -S launcher.py DESCRIPTOR PROGRAM ARGUMENT...`.

DESCRIPTOR is the reading end of a pipe that only the daemon can write into. Nobody ever does; but when the daemon ends,
however it ends, the kernel closes its end and kills this whole process group. No process has to stay for that, and
nothing has to run in the daemon between its fork and the program, which would be unsafe beside its threads.
"""

import fcntl
import os
import signal
import sys


def main(descriptor: int, command: list[str]) -> None:
    """Put the group on the leash and run `command` in this process."""
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(
        descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_NONBLOCK | fcntl.FASYNC
    )
    try:
        if not os.read(descriptor, 1):
            os._exit(1)  # the daemon ended before the leash held
    except BlockingIOError:
        pass
    try:
        os.execvp(command[0], command)  # noqa: S606  # it is what the operator configured
    except OSError as error:
        print(f"{command[0]} cannot be run: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(127)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
