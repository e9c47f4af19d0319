"""One component in the sandbox, without a catalogue around it: calls run on the test's own thread."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from wasmtime import Engine
from wasmtime import component as wasm

from prx.core.tool import CallContext, ToolResult
from prx.plugins.calls import Call
from prx.plugins.code import Code
from prx.plugins.engine import Ticker, engine_config
from prx.plugins.generation import Generation
from prx.plugins.host.linker import Host
from prx.plugins.host.stdio import StdioReader
from prx.plugins.inspect import inspect
from prx.plugins.lane import Completions
from prx.plugins.probe import with_probe
from prx.plugins.worlds.binding import BoundTool
from prx.plugins.worlds.plain import bind_plain
from prx.plugins.worlds.resolve import resolve
from tests.support.calls import call_of


class Guest:
    """A plain component whose functions can be called by tool name."""

    def __init__(self, generation: Generation, tools: list[BoundTool]) -> None:
        self.generation = generation
        self.bindings = {tool.spec.name: tool for tool in tools}

    def call(self, tool: str, **arguments: Any) -> ToolResult:
        """Run one call here and now."""
        call = Call(self.generation.owner, CallContext())
        return self.generation.run(call, self.bindings[tool].binding, arguments, time.monotonic())


@contextmanager
def guest_of(content: bytes, **limits: Any) -> Iterator[Guest]:
    """Make a guest of `content` for the length of the block; `limits` are fields of `Limits`."""
    engine = Engine(engine_config(fuel=limits.get("max_fuel") is not None))
    component = wasm.Component(engine, with_probe(content))
    inspection = inspect(component, engine)
    host = Host(engine, [])
    linker = host.linker_for(inspection)
    tools = bind_plain(resolve(inspection).plain, prefix="", source="test", descriptions={})
    uses_wasi = any(name.startswith("wasi:") for name in inspection.imported_interfaces)
    with (
        closing(StdioReader()) as stdio,
        closing(Ticker(engine)) as ticker,
        closing(asyncio.new_event_loop()) as loop,
    ):
        code = Code(component, engine, linker, host, uses_wasi=uses_wasi, stdio=stdio)
        generation = Generation(call_of(**limits).owner, code, ticker, Completions(loop))
        try:
            yield Guest(generation, tools)
        finally:
            loop.run_until_complete(generation.aclose(10))
