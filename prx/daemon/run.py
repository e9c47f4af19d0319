"""One run of the daemon, from the boot to the last part's end."""

import asyncio
import gc
import shlex
import shutil
import sys
from pathlib import Path

from prx.agent.agent import Agent
from prx.api.server import ApiRunner
from prx.config.live import LiveConfig
from prx.config.schema import Config
from prx.core.errors import UnavailableError
from prx.core.unit import Unit
from prx.daemon.gateway import open_gateway
from prx.daemon.life import STEP_SECS, Life
from prx.daemon.options import Options
from prx.daemon.parts import Ground, make_parts
from prx.runtime.code_pages import give_back_code
from prx.runtime.config_watch import ConfigWatch
from prx.runtime.logging import LogOutput, get_logger
from prx.runtime.logs.book import LogBook
from prx.runtime.process import ExitCode
from prx.runtime.systemd import Systemd

_FIRST_SCAN_SECS = 60.0

_log = get_logger("daemon")


class Daemon:
    """Boots, serves and drains."""

    def __init__(self, options: Options, live: LiveConfig, output: LogOutput, book: LogBook) -> None:
        """Make what holds no resources yet."""
        self._options = options
        self._ground = Ground(live, output, book)
        self._systemd = Systemd()
        self._config_watch = ConfigWatch(live, self._ground.points.bus, self._systemd)
        self._life = Life()
        self._gateway: ApiRunner | None = None
        self._agent: Agent | None = None

    async def run(self) -> ExitCode:
        """Boot, serve until a signal, let the calls in flight finish, and end every part in bounded time.

        Raises:
            PrxError: the boot failed; what had been started is ended.
        """
        await self._life.lead(self._boot(), self._drain, self._config_watch.ask)
        _log.info("stopped")
        return ExitCode.STOPPED

    async def _boot(self) -> None:
        """Start every part, in the order in which they need each other."""
        ground, life = self._ground, self._life
        config = ground.live.current
        life.in_background(self._systemd.feed_watchdog(), "watchdog")
        life.in_background(ground.status.measure_loop_lag(), "loop-lag")
        parts = await make_parts(ground, self._options, life)
        self._agent = parts.agent
        life.in_background(self._config_watch.run(), "configuration")
        url = None
        if self._options.gateway:
            self._gateway, url = await open_gateway(ground, parts, life)
        _make_own_plugins_directory(config)
        # Hooks want to hear of plugins that are loaded.
        for unit in (parts.webhooks.dispatcher, parts.catalogue, parts.skills):
            ground.supervisor.add(unit)
            await self._first_scan(unit)
        await parts.channels.reconfigured({})
        ground.supervisor.add(parts.sessions)
        ground.supervisor.add(parts.recollection)
        ground.supervisor.add(parts.meanings)
        ground.supervisor.add(parts.agent)
        await parts.inbox.resume()
        await parts.servers.start()
        parts.providers.reconfigured()
        if self._options.cron:
            ground.supervisor.add(ground.points.cron)
        gc.collect()
        gc.freeze()
        ground.status.set_ready(ready=True)
        loaded = sum(plugin.status == "loaded" for plugin in parts.catalogue.list())
        _log.info("ready", url=url, plugins=loaded, token_command=_token_command(self._options))
        self._systemd.ready(f"serving {loaded} plugins" + (f" at {url}" if url else ""))
        await asyncio.to_thread(give_back_code)

    async def _first_scan(self, unit: Unit) -> None:
        """Wait for what others build on; one that fails or is slow is a problem to show, never an end of the boot."""
        try:
            await self._ground.supervisor.wait(unit.name, {"running", "backoff", "failed"}, _FIRST_SCAN_SECS)
        except UnavailableError as error:
            reason = error.message
            _log.warning("a first scan goes on in the background", unit=unit.name, reason=reason)

    async def _drain(self) -> None:
        """Refuse new calls with 503, on an open port so that load balancers hear it, and finish those in flight."""
        drain_secs = self._ground.live.current.daemon.drain_secs
        self._ground.status.set_ready(ready=False)
        self._systemd.stopping()
        _log.info("stopping", drain_secs=drain_secs)
        finishing = self._finish(drain_secs)
        await self._life.end("calls in flight", finishing, within_secs=drain_secs + STEP_SECS)

    async def _finish(self, within_secs: float) -> None:
        """Let requests in flight end, and turns that nobody waits for any more."""
        parts = (self._gateway, self._agent)
        await asyncio.gather(*(part.drain(within_secs) for part in parts if part is not None))


def _make_own_plugins_directory(config: Config) -> None:
    """Make the plugins directory where it lies in the data directory; elsewhere it is the operator's."""
    if config.plugins.directory.is_relative_to(config.daemon.data_dir):
        config.plugins.directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def _token_command(options: Options) -> str:
    """Return the command that makes a token for this daemon, as it can be typed here."""
    words = ["prx"] if _is_on_path("prx", sys.argv[0]) else _program()
    config = ["--config", str(options.config)] if options.config else []
    return shlex.join([*words, *config, "auth", "token"])


def _program() -> list[str]:
    # `python -m prx` is called by a file that nobody could run.
    called = Path(sys.argv[0])
    return [sys.executable, "-m", "prx"] if called.name == "__main__.py" else [str(called)]


def _is_on_path(name: str, called: str) -> bool:
    found = shutil.which(name)
    try:
        return found is not None and Path(found).samefile(called)
    except OSError:
        return False
