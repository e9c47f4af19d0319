"""What is called in the benchmarks of calls: exported functions, loaded by the real plugin host in this process."""

import asyncio
import gc
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.report import ROOT
from prx.core.tool import CallContext
from prx.plugins.calls import Call
from prx.plugins.generation import Generation
from prx.plugins.offer import PluginTool
from prx.plugins.worlds.binding import Binding
from tests.components.corpus import component
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually

CALLER = CallContext(request_id="benchmark")
_COMPILED_SECS = 300.0


@dataclass(frozen=True, slots=True)
class Subject:
    """One exported function, and what it is called with."""

    name: str
    title: str
    wasm: bytes
    tool: str
    arguments: Mapping[str, Any]
    share: int = 1
    """How many times fewer calls make a round: a slow guest needs no more."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A subject as PRX has loaded it."""

    tool: PluginTool
    generation: Generation
    binding: Binding

    def run(self, arguments: Mapping[str, Any]) -> Callable[[], object]:
        """Return a call on the thread that makes it, as one of the plugin's own threads does."""
        generation, binding, submitted = self.generation, self.binding, time.monotonic()
        return lambda: generation.run(Call(generation.owner, CALLER), binding, arguments, submitted)


def small_guests() -> list[Subject]:
    """Return two guests of the corpus that do next to nothing."""
    return [
        Subject("echo", "plain component, echo", component("echo"), "echo", {"text": "hello"}),
        Subject("tool-echo", "PRX tool, execute", component("tool-echo"), "tool_echo", {"text": "hello"}),
    ]


def python_guest() -> Subject | None:
    """Return a large guest, where it is built."""
    built = ROOT / "plugins" / "text-tools" / "plugin.wasm"
    if not built.is_file():
        return None
    title = "18 MB Python guest, slugify"
    return Subject("text-tools", title, built.read_bytes(), "slugify", {"text": "A b"}, share=10)


def settle() -> None:
    """Do what the daemon does once it is ready."""
    gc.collect()
    gc.freeze()


class Hosts:
    """Plugin hosts on one event loop, each with one subject in one mode; they end with the block."""

    def __init__(self, runner: asyncio.Runner, scratch: Path) -> None:
        """Keep what the hosts need in `scratch`."""
        self._runner = runner
        self._scratch = scratch
        self._ends = AsyncExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._ends.aclose())

    def load(self, subject: Subject, mode: str) -> Loaded:
        """Return `subject` loaded with `mode` as its kind of instance."""
        return self._runner.run(self._load(subject, mode))

    async def _load(self, subject: Subject, mode: str) -> Loaded:
        directory = self._scratch / f"{subject.name}-{mode}"
        directory.mkdir(exist_ok=True)
        host = PluginHost(directory, self._scratch, store=self._scratch / f"{subject.name}-{mode}.db")
        host.limit(instance=mode)
        host.drop(subject.name, subject.wasm)
        await self._ends.enter_async_context(host.running())
        await eventually(lambda: host.plugin(subject.name).status != "loading", within_secs=_COMPILED_SECS)
        plugin = await host.until(subject.name, "loaded")
        assert plugin.loaded is not None
        [bound] = [bound for bound in plugin.loaded.bound.tools if bound.spec.name == subject.tool]
        tool = PluginTool(bound, plugin.loaded.generation)
        result = await tool.call(subject.arguments, CALLER)
        assert result.success, result.error
        return Loaded(tool, plugin.loaded.generation, bound.binding)
