"""What systemd is told of a `Type=notify` service; without systemd nothing happens."""

import asyncio
import os
import socket
import time
from collections.abc import Mapping

from prx.runtime.logging import get_logger

_log = get_logger("daemon::systemd")


class Systemd:
    """The notification socket and the watchdog interval, both from the environment."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`."""
        address = environment.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        interval = environment.get("WATCHDOG_USEC", "")
        self._watchdog_secs = int(interval) / 1e6 if for_us and interval.isdigit() else 0.0

    def ready(self, status: str) -> None:
        """Tell that the start, or a reload, is done."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Tell that a reload has begun."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that the stop has begun."""
        self._send("STOPPING=1\nSTATUS=finishing the calls in flight")

    async def feed_watchdog(self) -> None:
        """Show until cancelled that the event loop runs, twice in each interval; returns if none is asked for."""
        while self._watchdog_secs and self._address:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_secs / 2)

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.setblocking(False)  # noqa: FBT003  # the standard library's own signature
            try:
                notify.sendto(state.encode(), self._address)
            except OSError as error:
                _log.warning("systemd was not told", state=state.partition("\n")[0], reason=error.strerror)
