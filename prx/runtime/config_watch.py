"""Keeps the running configuration up with its files, and tells the log what became of each edit."""

import asyncio
from contextlib import suppress
from typing import Final

from prx.config.live import Change, LiveConfig
from prx.core.errors import ConfigError
from prx.runtime.bus import Bus
from prx.runtime.logging import get_logger
from prx.runtime.systemd import Systemd

# A look is a few stats. It sees what notices of the kernel do not tell of: file systems without them, links that lead
# elsewhere, files and directories that are not there yet.
_LOOK_SECS: Final = 1.0
_SETTLE_SECS: Final = 0.25
_MAX_UNSETTLED: Final = 2

_log = get_logger("config")


class ConfigWatch:
    """Reloads when a file changed or somebody asks, for as long as it runs."""

    def __init__(self, live: LiveConfig, bus: Bus, systemd: Systemd) -> None:
        """Watch nothing yet; changes are told on `bus` and in the log, reloads that were asked for to `systemd`."""
        self._live = live
        self._bus = bus
        self._systemd = systemd
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Reload in any case, as SIGHUP wants it."""
        self._asked.set()

    async def run(self) -> None:
        """Watch until cancelled. Who began to listen before has obeyed a change when the log and the bus tell of it."""
        self._live.listen(self._changed)
        self._live.listen_to_refusals(self._refused)
        before = self._live.sources.seen
        unsettled = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE_SECS if unsettled else _LOOK_SECS):
                    await self._asked.wait()
            if self._asked.is_set():
                self._asked.clear()
                await self._reload_as_asked()
            now = await asyncio.to_thread(self._live.sources.stamp)
            if now == self._live.sources.seen:
                unsettled = 0
            elif now == before or unsettled == _MAX_UNSETTLED:
                unsettled = 0
                await self._reload()
            else:
                # An editor may have emptied the file just now, to fill it in a moment.
                unsettled += 1
            before = now

    async def _reload_as_asked(self) -> None:
        self._systemd.reloading()
        if await self._reload():
            _log.info("nothing has changed in the configuration")
        self._systemd.ready("reloaded")

    async def _reload(self) -> bool:
        """Reload; true when that was fine and changed nothing."""
        with suppress(ConfigError):  # `_refused` has told
            return await self._live.reload() is None
        return False

    async def _changed(self, change: Change) -> None:
        _log.info(
            "configuration changed",
            changed=", ".join(change.keys) or None,
            waits_for_restart=", ".join(change.restart_required) or None,
            version=self._live.version,
        )
        self._bus.publish(
            "prx.lifecycle.config_reloaded",
            {
                "version": self._live.version,
                "changed": list(change.keys),
                "restart_required": list(change.restart_required),
            },
        )
        for key, layer in change.hidden.items():
            _log.warning("a key that was set has no effect: a later layer sets it, too", key=key, layer=layer)

    def _refused(self, error: ConfigError) -> None:
        # The operator's mistake has no traceback.
        _log.error("the configuration was refused, the old one stays", reason=error.message)
