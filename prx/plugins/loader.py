"""From what lies on disk to a verified generation, ready to be offered."""

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from wasmtime import Engine, WasmtimeError
from wasmtime import component as wasm

from prx.config.schema import PluginsConfig
from prx.core.errors import UnavailableError
from prx.plugins.asked import Asked
from prx.plugins.bound import Bound, bind, event_patterns, idle_worlds
from prx.plugins.calls import Owner
from prx.plugins.code import Code
from prx.plugins.compiler import Compiler
from prx.plugins.engine import Ticker, engine_config
from prx.plugins.errors import LoadError, MissingPermissionError
from prx.plugins.generation import Generation
from prx.plugins.grants import Grants, Ledger
from prx.plugins.host.functions import HostFunction
from prx.plugins.host.linker import Host
from prx.plugins.host.output import GuestOutput
from prx.plugins.host.stdio import StdioReader
from prx.plugins.host.wasi.functions import WasiFunction
from prx.plugins.host.wasi.linking import out_of_reach, serves_io
from prx.plugins.inspect import Inspection, inspect
from prx.plugins.lane import Completions
from prx.plugins.placeholders import seal
from prx.plugins.secrets import SecretStore
from prx.plugins.settings import Settings, missing_permissions, settings_for
from prx.plugins.signing import Signature, admit
from prx.plugins.sources import Contents
from prx.plugins.subscriptions import Subscriptions
from prx.plugins.worlds import plain
from prx.plugins.worlds.resolve import Resolved, resolve
from prx.runtime.logging import get_logger

log = get_logger("plugins::loader")

_END_ROUNDS = 3
_END_SECS = 1.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """One version of a plugin, verified: an instance was made, and what it offers is known."""

    contents: Contents
    asked: Asked
    settings: Settings
    generation: Generation
    bound: Bound
    worlds: tuple[str, ...]
    """The PRX worlds that it exports; none for a plain component."""
    inspection: Inspection
    signature: Signature | None
    """Who vouched for it when it was loaded."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Exported functions that cannot be tools, and why."""

    def capabilities(self) -> list[str]:
        """Return what it brings, as `<world>:<name>`."""
        return [*self.bound.capabilities(), *(f"hook:{pattern}" for pattern in self._patterns())]

    def warnings(self) -> list[str]:
        """Return what is odd about it and keeps it from nothing else."""
        return [
            *self.contents.warnings,
            *idle_worlds(self.bound, self._patterns()),
            *self.asked.faults,
            *out_of_reach(self.inspection, self.generation.owner.permissions),
        ]

    def _patterns(self) -> list[str]:
        subscriptions = self.generation.owner.subscriptions
        return subscriptions.patterns() if subscriptions is not None else []


class Progress(Protocol):
    """Who wants to know how far a load is."""

    def compiles(self) -> None:
        """Its code was not in the cache: this takes a while."""


class Unwatched:
    """Nobody wants to know how far the load is; see `Progress`."""

    def compiles(self) -> None: ...


class Loader:
    """The engines and everything that all plugins share."""

    def __init__(
        self,
        compiler: Compiler,
        functions: Sequence[HostFunction | WasiFunction],
        grants: Grants,
        secrets: SecretStore,
        loop: asyncio.AbstractEventLoop,
        data_dir: Path,
    ) -> None:
        """Start the clock and the reader of guests' output; `close` ends both. No guest sees anything of `data_dir`."""
        self._data_dir = data_dir
        self._grants = grants
        self._secrets = secrets
        self._compiler = compiler
        self._engines = {fuel: Engine(engine_config(fuel=fuel)) for fuel in (False, True)}
        self._functions = functions
        self._hosts: dict[bool, Host] = {}
        self._hosts_lock = threading.Lock()
        self._stdio = StdioReader()
        self._completions = Completions(loop)
        self._ticker = Ticker(*self._engines.values())
        self._live: set[Generation] = set()
        self._retired: WeakSet[Generation] = WeakSet()
        """Those that ended, for as long as a call may still be on its way to them."""

    async def asked_by(self, contents: Contents, config: PluginsConfig) -> Asked:
        """Look up on this machine what `contents` ask for."""
        private = (self._data_dir, config.directory)
        if contents.manifest is None or not contents.manifest.permissions.filesystem_allowlist:
            return Asked.of(contents.manifest, private)
        return await asyncio.to_thread(Asked.of, contents.manifest, private)

    async def load(
        self,
        contents: Contents,
        component: bytes,
        config: PluginsConfig,
        progress: Progress,
        wanted: Callable[[], bool],
        *,
        lenient: bool = False,
    ) -> Loaded:
        """Compile and verify what was read. A caller that keeps no `component` has it freed once it is compiled.

        `lenient` also loads what still lacks a required permission: to tell more about it, not to offer it.

        Raises:
            SupersededError: `wanted` said no before it was compiled.
            LoadError: it is not a plugin that this host can run; says why.
        """
        asked = await self.asked_by(contents, config)
        signature = await asyncio.to_thread(
            admit, contents, config.trusted_keys, required=config.require_signature
        )
        if "filesystem" in asked.required and asked.faults:
            raise LoadError(f"plugin.toml: [permissions] {asked.faults[0]}")
        settings = self._settings(contents, asked, config, lenient=lenient)
        fuel = settings.limits.max_fuel is not None
        code, resolved, inspection = await self._compiled(
            component, contents.digest, progress, wanted, fuel=fuel
        )
        del component  # megabytes that nothing needs any more
        # What an attempt is refused counts nowhere.
        ledger = Ledger() if lenient else self._grants.ledger(contents.name)
        owner = self._owner(contents, asked, settings, ledger)
        if "hook" in resolved.worlds:
            owner.subscriptions = Subscriptions(contents.name, event_patterns(contents.manifest))
        generation = Generation(owner, code, self._ticker, self._completions)
        generation.obey(settings)
        _note_withheld(owner, settings)
        self._live.add(generation)
        try:
            bound = await bind(
                generation,
                resolved,
                contents.manifest,
                prefix=settings.tool_prefix,
                source=f"plugin:{contents.name}",
            )
        except BaseException:
            await self.retire(generation, _END_SECS)
            raise
        return Loaded(
            contents=contents,
            asked=asked,
            settings=settings,
            generation=generation,
            bound=bound,
            worlds=tuple(resolved.worlds),
            inspection=inspection,
            signature=signature,
            skipped={str(f): f.skipped for f in plain.plain_functions(inspection) if f.skipped is not None},
        )

    async def _compiled(
        self, component: bytes, digest: str, progress: Progress, wanted: Callable[[], bool], *, fuel: bool
    ) -> tuple[Code, Resolved, Inspection]:
        compiled = await self._compiler.cached(digest, fuel=fuel)
        if compiled is not None:
            try:
                return await asyncio.to_thread(self._open, compiled, fuel)
            except WasmtimeError as error:  # made for another processor, say
                log.warning(
                    "compiled code was refused; compiling again", path=str(compiled), reason=str(error)
                )
                await self._compiler.drop(digest, fuel=fuel)
        progress.compiles()
        compiled = await self._compiler.compile(component, digest, fuel=fuel, wanted=wanted)
        try:
            return await asyncio.to_thread(self._open, compiled, fuel)
        except WasmtimeError as error:
            await self._compiler.drop(digest, fuel=fuel)
            raise LoadError(
                f"its compiled code was refused: {error}; reload the plugin to try again"
            ) from error

    def _owner(self, contents: Contents, asked: Asked, settings: Settings, ledger: Ledger) -> Owner:
        sealed = seal(contents.name, settings.config, self._secrets, settings.readable_env)
        return Owner(
            contents.name,
            sealed.shown,
            settings.permissions,
            settings.limits,
            GuestOutput(contents.name),
            ledger,
            secrets=sealed,
            asked=asked,
        )

    async def rehearse(self, contents: Contents, component: bytes, config: PluginsConfig) -> None:
        """Load what was read, whatever permission it lacks, and let it go again; its code is in the cache then.

        Raises:
            LoadError: it would not load; says why.
        """
        loaded = await self.load(contents, component, config, Unwatched(), wanted=lambda: True, lenient=True)
        await self.retire(loaded.generation, _END_SECS)

    def regrant(self, loaded: Loaded, config: PluginsConfig) -> None:
        """Obey what the operator decided while `loaded` was made.

        Raises:
            MissingPermissionError: it must not run any more.
        """
        loaded.generation.obey(self._settings(loaded.contents, loaded.asked, config))

    def revoke(self, plugin: str, permissions: Collection[str]) -> None:
        """Take `permissions` from every generation of `plugin`, also from one that only ends its calls."""
        for generation in (*self._live, *self._retired):
            if generation.owner.plugin == plugin:
                generation.owner.permissions -= frozenset(permissions)

    def _settings(
        self, contents: Contents, asked: Asked, config: PluginsConfig, *, lenient: bool = False
    ) -> Settings:
        decisions = self._grants.decisions(contents.name)
        settings = settings_for(contents.name, contents.manifest, asked, config, decisions)
        if settings.missing and not lenient:
            raise MissingPermissionError(missing_permissions(contents.name, settings))
        return settings

    async def retire(self, generation: Generation, timeout_secs: float) -> bool:
        """Let the calls of `generation` finish and free it; false when one outlived the timeout."""
        ended = await generation.aclose(timeout_secs)
        if ended:
            self._live.discard(generation)
            self._retired.add(generation)
        return ended

    async def aclose(self) -> None:
        """End every call of every generation within seconds, then the shared threads."""
        self._live.update(self._retired)
        for generation in self._live:
            generation.abandon(UnavailableError)
        for _ in range(_END_ROUNDS):  # a call may begin its time just after the others' ended
            self._ticker.end_calls()
            await asyncio.gather(*(self.retire(generation, _END_SECS) for generation in tuple(self._live)))
            if not self._live:
                break
        else:
            log.error("calls did not end", plugins=[generation.owner.plugin for generation in self._live])
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._ticker.close()
        self._stdio.close()

    def _open(self, compiled: Path, fuel: bool) -> tuple[Code, Resolved, Inspection]:  # noqa: FBT001  # a key
        engine = self._engines[fuel]
        component = wasm.Component.deserialize_file(engine, str(compiled))
        inspection = inspect(component, engine)
        with self._hosts_lock:  # plugins are opened on several threads at once
            if fuel not in self._hosts:
                self._hosts[fuel] = Host(engine, self._functions)
            host = self._hosts[fuel]
            linker = host.linker_for(inspection)
        resolved = resolve(inspection)
        uses_wasi = any(name.startswith("wasi:") for name in inspection.imported_interfaces)
        code = Code(
            component, engine, linker, host, uses_wasi=uses_wasi, serves_io=serves_io(inspection), stdio=self._stdio,
            file=compiled,
        )  # fmt: skip
        return code, resolved, inspection


def _note_withheld(owner: Owner, settings: Settings) -> None:
    """Put what the guest will not find around itself into the ledger: no host function tells when it looks for it."""
    for permission in ("filesystem", "env"):
        for entry in settings.waiting.get(permission, ()):
            owner.ledger.note(permission, f"{permission} {entry}", owner.remedy(permission))
