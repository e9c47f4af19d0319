"""The composition root: makes every part, joins them, and ends them in reverse. The only module that knows all."""

import asyncio
import gc
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from prx.agent.sessions import Sessions
from prx.agent.skills import Skills, builtin_skills
from prx.api.app import PREFIX, build_app
from prx.api.deps import ApiDeps, Figures
from prx.api.server import ApiRunner
from prx.api.tokens import TokenStore
from prx.channels.manager import Channels
from prx.config.live import Change, LiveConfig
from prx.config.schema import Config
from prx.config.secret_values import secret_values
from prx.config.sources import Sources
from prx.config.toml import Layer
from prx.core.errors import PrxError, UnavailableError
from prx.core.skill import SkillShelf
from prx.core.unit import Unit
from prx.mcp.client.manager import McpServers
from prx.mcp.server.endpoint import McpEndpoint
from prx.plugins.catalogue import Catalogue
from prx.plugins.host.interfaces import HostServices
from prx.plugins.skills import skill_shelves
from prx.runtime.allocator import keep_little_freed_memory
from prx.runtime.bus import Bus
from prx.runtime.code_pages import give_back_code
from prx.runtime.config_watch import ConfigWatch
from prx.runtime.endings import end
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.listener import listen
from prx.runtime.log_values import redaction
from prx.runtime.logging import LogOutput, get_logger, set_level
from prx.runtime.logs.book import LogBook
from prx.runtime.logs.files import LOG_DIRECTORY
from prx.runtime.memory import Memory
from prx.runtime.metrics import Metrics
from prx.runtime.process import (
    Address,
    ExitCode,
    announced,
    data_dir_lock,
    exit_code_of,
    open_standard_descriptors,
    pid_file,
)
from prx.runtime.skill_directory import SkillDirectory
from prx.runtime.status import StatusBoard
from prx.runtime.store import Store
from prx.runtime.supervisor import Supervisor
from prx.runtime.systemd import Systemd
from prx.webhooks.service import Webhooks

_FIRST_SCAN_SECS = 60.0
_STEP_SECS = 10.0
_LAST_ANSWERS_SECS = 1.0

_log = get_logger("daemon")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says of this one run."""

    config: Path | None = None
    flags: Sequence[Layer] = ()
    """What flags set over the configuration."""
    gateway: bool = True
    channels: bool = True
    cron: bool = True
    pid_file: Path | None = None


def main(options: Options) -> NoReturn:
    """Run the daemon and end the process with an `ExitCode`."""
    # What was imported stays: the collector need not look at it again.
    gc.freeze()
    gc.enable()
    keep_little_freed_memory()
    open_standard_descriptors()
    try:
        live = LiveConfig(Sources(options.config, options.flags))
        with ExitStack() as held:
            held.enter_context(data_dir_lock(live.current.daemon.data_dir))
            if options.pid_file is not None:
                held.enter_context(pid_file(options.pid_file.absolute()))
            code = _run(options, live)
    except PrxError as error:
        print(f"prx: {error.message}", file=sys.stderr, flush=True)  # noqa: T201  # there is no log yet
        code = exit_code_of(error)
    # Not sys.exit: that would wait for threads, and a guest may hang in native code on one for ever.
    os._exit(code)


def _run(options: Options, live: LiveConfig) -> ExitCode:
    """Run with a log from the start to the end of the daemon."""
    settings = live.current.daemon
    redaction.hide(secret_values(live.current))
    book = LogBook(
        settings.data_dir / LOG_DIRECTORY,
        max_file_bytes=settings.log_file_mb << 20,
        max_files=settings.log_files,
    )
    output = LogOutput(settings.log_level, settings.log_format, keep=book.put)

    def close_log() -> None:
        output.close()
        book.close()

    sys.excepthook = partial(_crashed, close_log)
    loop = _new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        code = loop.run_until_complete(Daemon(options, live, output, book).run())
    except PrxError as error:
        _log.error("the daemon cannot run", reason=error.message, code=error.code)
        code = exit_code_of(error)
    close_log()
    return code


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415  # absent on some platforms
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _crashed(
    close_log: Callable[[], None],
    _kind: type[BaseException],
    error: BaseException,
    _trace: TracebackType | None,
) -> NoReturn:
    _log.error("the daemon crashed", exc_info=error)
    close_log()
    os._exit(ExitCode.CRASHED)


class Daemon:
    """One run, from the boot to the last part's end."""

    def __init__(self, options: Options, live: LiveConfig, output: LogOutput, book: LogBook) -> None:
        """Make what holds no resources yet."""
        self._options = options
        self._live = live
        self._output = output
        self._book = book
        self._systemd = Systemd()
        self._status = StatusBoard()
        self._metrics = Metrics()
        self._points = ExtensionPoints.on(Bus())
        self._config_watch = ConfigWatch(live, self._points.bus, self._systemd)
        self._supervisor = Supervisor()
        self._endings = AsyncExitStack()
        self._stop = asyncio.Event()
        self._forced = asyncio.Event()
        self._gateway: ApiRunner | None = None
        self._failure: BaseException | None = None

    async def run(self) -> ExitCode:
        """Boot, serve until a signal, let the calls in flight finish, and end every part in bounded time.

        Raises:
            PrxError: the boot failed; what had been started is ended.
        """
        self._listen_to_signals()
        async with self._endings:
            boot = asyncio.create_task(self._boot(), name="boot")
            stop = asyncio.create_task(self._stop.wait(), name="stop")
            await asyncio.wait({boot, stop}, return_when=asyncio.FIRST_COMPLETED)
            if boot.done():
                boot.result()
                await stop
            else:
                boot.cancel()
                await self._end("boot", _gone(boot), within_secs=_STEP_SECS)
            await self._drain()
        if self._failure is not None:
            raise self._failure
        _log.info("stopped")
        return ExitCode.STOPPED

    async def _boot(self) -> None:
        """Start every part, in the order in which they need each other; each is ended in reverse."""
        config = self._live.current
        self._in_background(self._systemd.feed_watchdog(), "watchdog")
        self._in_background(self._status.measure_loop_lag(), "loop-lag")
        self._at_end("log", self._book.aclose)
        store = await Store.open(config.daemon.data_dir / "prx.db")
        self._at_end("store", store.aclose)
        webhooks = Webhooks(
            store,
            config.daemon.data_dir,
            self._points.bus,
            self._status.problems,
            lambda: self._live.current.hooks,
        )
        self._at_end("webhooks", webhooks.aclose)
        await webhooks.load()
        self._at_end("units", self._supervisor.aclose)
        memory = await Memory.open(store)
        services = HostServices(store, memory, self._points.bus)
        catalogue = Catalogue(
            lambda: self._live.current.plugins, config.daemon.data_dir, self._points, services
        )
        skills = Skills(partial(_skill_shelves, config, catalogue))
        channels = Channels(
            lambda: self._live.current.channels_config,
            self._supervisor,
            self._points.bus,
            connects=self._options.channels,
        )
        self._at_end("channels", channels.aclose)
        sessions = await Sessions.open(
            store, self._points.bus, webhooks.outbox, lambda: self._live.current.agent
        )
        self._at_end("sessions", sessions.aclose)
        servers = McpServers(
            lambda: self._live.current.mcp, store, self._supervisor, self._points.tools, self._points.bus
        )
        self._at_end("MCP servers", servers.aclose)

        self._at_end("configuration changes", self._live.aclose)
        self._live.listen(partial(_obey, catalogue, channels, sessions, servers, webhooks))
        self._in_background(self._config_watch.run(), "configuration")
        for source in (
            self._live,
            self._book,
            store,
            self._supervisor,
            catalogue,
            skills,
            sessions,
            servers,
            webhooks,
        ):
            self._status.watch(source.problems)
        for part in (
            self._status,
            self._live,
            self._output,
            self._book,
            store,
            self._supervisor,
            self._points.bus,
            self._points.tools,
            memory,
            catalogue,
            channels,
            sessions,
            servers,
        ):
            self._metrics.watch(part.metrics)
        url = None
        if self._options.gateway:
            url = await self._open_gateway(catalogue, skills, channels, sessions, servers, webhooks, memory)
        _make_own_plugins_directory(config)
        for unit in (webhooks.dispatcher, catalogue, skills):  # hooks want to hear of plugins that are loaded
            self._supervisor.add(unit)
            await self._first_scan(unit)
        await channels.reconfigured({})
        self._supervisor.add(sessions)
        await servers.start()
        if self._options.cron:
            self._supervisor.add(self._points.cron)
        gc.collect()
        gc.freeze()
        self._status.set_ready(ready=True)
        loaded = sum(plugin.status == "loaded" for plugin in catalogue.list())
        _log.info("ready", url=url, plugins=loaded, token_command=_token_command(self._options))
        self._systemd.ready(f"serving {loaded} plugins" + (f" at {url}" if url else ""))
        await asyncio.to_thread(give_back_code)

    async def _first_scan(self, unit: Unit) -> None:
        """Wait for what others build on; one that fails or is slow is a problem to show, never an end of the boot."""
        try:
            await self._supervisor.wait(unit.name, {"running", "backoff", "failed"}, _FIRST_SCAN_SECS)
        except UnavailableError as error:
            reason = error.message
            _log.warning("a first scan goes on in the background", unit=unit.name, reason=reason)

    async def _open_gateway(
        self,
        catalogue: Catalogue,
        skills: Skills,
        channels: Channels,
        sessions: Sessions,
        servers: McpServers,
        webhooks: Webhooks,
        memory: Memory,
    ) -> str:
        """Listen, answering 503 until the daemon is ready; return the API's address.

        Raises:
            AddressInUseError: another program listens there.
            ConfigError: the address or the certificate cannot be used.
        """
        gateway = self._live.current.gateway
        tokens = TokenStore(self._live.current.daemon.data_dir)
        self._at_end("tokens", tokens.aclose)
        self._in_background(tokens.flush_forever(), "tokens")

        def figures() -> Figures:
            return Figures(
                channels_connected=channels.connected(),
                memory_entries=memory.entries,
                config_version=self._live.version,
                restart_required=bool(self._live.restart_required),
            )

        deps = ApiDeps(
            tokens=tokens,
            router=self._points.tools,
            plugins=catalogue,
            skills=skills,
            channels=channels,
            sessions=sessions,
            webhooks=webhooks,
            mcp_servers=servers,
            status=self._status,
            metrics=self._metrics,
            log=self._book,
            bus=self._points.bus,
            config=lambda: self._live.current,
            live=self._live,
            figures=figures,
            mcp_endpoint=McpEndpoint(self._points.tools, self._supervisor),
        )
        runner = ApiRunner(build_app(deps), shutdown_timeout=_LAST_ANSWERS_SECS)
        await runner.setup()
        self._at_end("gateway", runner.cleanup)
        where = await listen(runner, gateway)
        self._gateway = runner
        url = f"{where.url}{PREFIX}"
        self._endings.enter_context(
            announced(self._live.current.daemon.data_dir, Address(url, where.certificate))
        )
        _log.info("listening", url=url)
        return url

    async def _drain(self) -> None:
        """Refuse new calls with 503, on an open port so that load balancers hear it, and finish those in flight."""
        drain_secs = self._live.current.daemon.drain_secs
        self._status.set_ready(ready=False)
        self._systemd.stopping()
        _log.info("stopping", drain_secs=drain_secs)
        if self._gateway is not None:
            finishing = self._gateway.drain(drain_secs)
            await self._end("calls in flight", finishing, within_secs=drain_secs + _STEP_SECS)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._config_watch.ask)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop_signal, number)

    def _on_stop_signal(self, number: signal.Signals) -> None:
        """Drain at the first signal, hurry at the second; a third is the kernel's."""
        if self._stop.is_set():
            _log.warning("forced to stop: calls in flight are cut off", signal=number.name)
            self._forced.set()
            for each in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)
        self._stop.set()

    def _in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` until the end; should it fail, the daemon ends as crashed."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_background_end)

        async def cancelled() -> None:
            task.cancel()
            await _gone(task)

        self._at_end(name, cancelled)

    def _on_background_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._stop.set()

    def _at_end(self, part: str, closing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def ended() -> None:
            await self._end(part, closing(), within_secs=_STEP_SECS)

        self._endings.push_async_callback(ended)

    async def _end(self, part: str, closing: Coroutine[Any, Any, object], *, within_secs: float) -> None:
        await end(part, closing, within_secs=within_secs, forced=self._forced)


async def _obey(
    catalogue: Catalogue,
    channels: Channels,
    sessions: Sessions,
    servers: McpServers,
    webhooks: Webhooks,
    change: Change,
) -> None:
    """Have everything act on a changed configuration that does not ask for it anew each time."""
    set_level(change.new.daemon.log_level)
    # What was a secret until now may still turn up in what goes on.
    redaction.hide([*secret_values(change.old), *secret_values(change.new)])
    if any(key.startswith("plugins.") for key in change.keys):
        await catalogue.reconfigured(change.old.plugins)
    if any(key.startswith("channels_config.") for key in change.keys):
        await channels.reconfigured(change.old.channels_config)
    if any(key.startswith("agent.session_") for key in change.keys):
        await sessions.catch_up()
    if any(key.startswith("hooks.") for key in change.keys):
        await webhooks.reconfigured(change.old.hooks)
    if any(key.startswith("mcp.") for key in change.keys):
        servers.reconfigured()


def _skill_shelves(config: Config, catalogue: Catalogue) -> list[SkillShelf]:
    """Return where skills lie, the places first that win over later ones."""
    workspace = SkillDirectory("workspace", config.skills.directory, may_be_link=True)
    return [workspace, *skill_shelves(catalogue.list()), builtin_skills()]


async def _gone(task: asyncio.Task[Any]) -> None:
    await asyncio.wait({task})


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
