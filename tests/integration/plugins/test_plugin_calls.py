"""What a call gets and costs: fresh sandboxes, receipts, durable values, and nothing left behind."""

import asyncio
import gc
import threading
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from prx.core.errors import UnavailableError
from prx.core.tool import Receipt, ToolResult
from prx.plugins.memory_maps import linear_memories
from prx.plugins.offer import PluginTool
from tests.components.corpus import component
from tests.support.plugin_host import CALLER, PluginHost
from tests.support.processes import open_descriptors, threads_named
from tests.support.waiting import eventually

MANIFEST = '[plugin]\nname = "{}"\nversion = "1.0.0"\n'
KV = '[permissions]\nrequired = ["kv"]\n'
WARM = '[resources]\ninstance = "warm"\n'
PAGE = 64 * 1024

# Counts its calls, and traps when it is told so.
_MOODY = """
(component
  (core module $guest
    (memory (export "memory") 1)
    (global $calls (mut i32) (i32.const 0))
    (func (export "next") (param $trap i32) (result i32)
      (if (local.get $trap) (then unreachable))
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      global.get $calls)
    (func (export "grow") (param $pages i32) (result i32) (memory.grow (local.get $pages))))
  (core instance $guest (instantiate $guest))
  (func (export "next") (param "trap" bool) (result u32) (canon lift (core func $guest "next")))
  (func (export "grow") (param "pages" u32) (result s32) (canon lift (core func $guest "grow"))))
"""


def moody() -> bytes:
    return bytes(wat2wasm(_MOODY))


def receipt_of(result: ToolResult) -> Receipt:
    assert result.receipt is not None
    return result.receipt


async def test_fresh_instances_share_no_state(host: PluginHost) -> None:
    host.drop("counter")
    async with host.running():
        await host.until("counter", "loaded")
        assert [await host.output("next") for _ in range(5)] == [1] * 5
        assert await asyncio.gather(*(host.output("next") for _ in range(20))) == [1] * 20


async def test_a_warm_instance_keeps_its_state_until_it_traps(host: PluginHost) -> None:
    host.drop("moody", moody(), manifest=MANIFEST.format("moody") + WARM)
    async with host.running():
        await host.until("moody", "loaded")
        assert [await host.output("next", {"trap": False}) for _ in range(3)] == [1, 2, 3]
        result = await host.call("next", {"trap": True})
        assert result.error is not None
        assert result.error.code == "trap"
        assert await host.output("next", {"trap": False}) == 1


async def test_a_warm_instance_that_holds_much_memory_is_not_used_again(host: PluginHost) -> None:
    host.settle("moody", limits={"max_memory_mb": 1})
    host.drop("moody", moody(), manifest=MANIFEST.format("moody") + WARM)
    async with host.running():
        await host.until("moody", "loaded")
        assert await host.output("next", {"trap": False}) == 1
        assert await host.output("grow", {"pages": 5}) == 1
        assert await host.output("next", {"trap": False}) == 2
        assert await host.output("grow", {"pages": 8}) == 6
        assert await host.output("next", {"trap": False}) == 1


async def test_the_operator_may_keep_warm_what_asks_for_nothing(host: PluginHost) -> None:
    host.settle("counter", limits={"instance": "warm"})
    host.drop("counter")
    async with host.running():
        await host.until("counter", "loaded")
        assert [await host.output("next") for _ in range(3)] == [1, 2, 3]


async def test_a_plugin_with_fuel_tells_what_it_used_and_ends_when_it_is_used_up(host: PluginHost) -> None:
    host.settle("fuel-burner", limits={"max_fuel": 100_000, "max_execution_time_ms": 60_000})
    host.drop("fuel-burner")
    async with host.running():
        await host.until("fuel-burner", "loaded")
        # Fuel is filled up for each call: together these need more than one call may use.
        used = [
            receipt_of(await host.call("burn", {"rounds": rounds})).fuel_used
            for rounds in (10, 5000, 5000, 7000)
        ]
        assert None not in used
        assert used == sorted(used, key=lambda fuel: fuel or 0)
        assert 0 < (used[0] or 0) < (used[1] or 0) == (used[2] or 0) < (used[3] or 0) <= 100_000
        result = await host.call("burn", {"rounds": 10**9})
        assert result.error is not None
        assert (result.error.code, result.error.message) == (
            "out_of_fuel",
            "the call used up its 100000 units of fuel (max_fuel)",
        )
        assert receipt_of(result).fuel_used == 100_000
        totals = host.plugin("fuel-burner").detail()["calls"]
        assert totals["fuel_used"] == sum(fuel or 0 for fuel in used) + 100_000
        assert (totals["total"], totals["failed"], totals["errors"]) == (5, 1, {"out_of_fuel": 1})


async def test_a_receipt_tells_what_a_call_cost(host: PluginHost) -> None:
    host.drop("echo")
    host.drop("prx-tool", manifest=MANIFEST.format("prx-tool") + KV)
    async with host.running():
        await host.until("echo", "loaded")
        await host.until("prx-tool", "loaded")
        text = "é" * 100_000
        receipt = receipt_of(await host.call("echo", {"text": text}))
        assert receipt.fuel_used is None
        assert (receipt.bytes_in, receipt.bytes_out) == (200_000, 200_000)
        assert receipt.peak_memory_bytes == 4 * PAGE
        assert receipt.host_calls == receipt.http_requests == 0
        assert 0 < receipt.guest_ms <= receipt.wall_ms
        assert receipt_of(await host.call("remember", {"text": "x"})).host_calls == 3


async def test_a_failed_call_has_a_receipt_with_its_peak_memory(host: PluginHost) -> None:
    host.limit(max_memory_mb=8)
    host.drop("memory-bomb")
    async with host.running():
        await host.until("memory-bomb", "loaded")
        result = await host.call("run")
        assert result.error is not None
        assert result.error.message == "the guest needs more than its 8 MiB of memory (max_memory_mb)"
        assert 7 * 1024 * 1024 < receipt_of(result).peak_memory_bytes <= 8 * 1024 * 1024


async def test_the_output_limit_counts_what_comes_out_not_how_many(host: PluginHost) -> None:
    host.settle("giant-output", limits={"max_output_kb": 4096}, tool_prefix="text_")
    host.settle("giant-list", limits={"max_output_kb": 4096}, tool_prefix="list_")
    for name in ("giant-output", "giant-list"):
        host.drop(name)
    async with host.running():
        for name in ("giant-output", "giant-list"):
            await host.until(name, "loaded")
        assert len(await host.output("text_run")) == 4 << 20
        assert receipt_of(await host.call("list_run")).bytes_out == 4 << 20
        host.settle("giant-list", limits={"max_output_kb": 4095}, tool_prefix="list_")
        await host.catalogue.reload("giant-list")
        result = await host.call("list_run")
        assert result.error is not None
        assert result.error.code == "output_too_large"


async def test_values_survive_reload_upgrade_and_restart(host: PluginHost) -> None:
    host.drop("prx-tool", manifest=MANIFEST.format("prx-tool") + KV)
    async with host.running():
        await host.until("prx-tool", "loaded")
        assert await host.output("remember", {"text": "1"}) == ""
        await host.catalogue.reload("prx-tool")
        assert await host.output("remember", {"text": "2"}) == '{"text":"1"}'
        host.drop("prx-tool", component("prx-tool-unversioned"), manifest=MANIFEST.format("prx-tool") + KV)
        await eventually(lambda: host.plugin("prx-tool").number > 1)
        assert await host.output("remember", {"text": "3"}) == '{"text":"2"}'
    async with host.running():
        await host.until("prx-tool", "loaded")
        assert await host.output("remember", {"text": "4"}) == '{"text":"3"}'


async def test_plugins_do_not_see_each_others_values(host: PluginHost) -> None:
    for name in ("one", "two"):
        host.settle(name, tool_prefix=f"{name}_")
        host.drop(name, component("prx-tool"), manifest=MANIFEST.format(name) + KV)
    async with host.running():
        for name in ("one", "two"):
            await host.until(name, "loaded")
            assert await host.output(f"{name}_remember", {"text": name}) == ""
        assert await host.output("one_remember") == '{"text":"one"}'
        assert await host.output("two_remember") == '{"text":"two"}'


async def test_memory_is_measured_while_instances_live_and_0_when_none_does(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.drop("moody", moody(), manifest=MANIFEST.format("moody") + WARM)
    async with host.running():
        plugin = await host.until("moody", "loaded")
        assert plugin.memory_usage_bytes() == 0
        await host.call("grow", {"pages": 6})
        assert plugin.memory_usage_bytes() == 7 * PAGE
        await host.call("grow", {"pages": 2})
        assert plugin.memory_usage_bytes() == 9 * PAGE
        with monkeypatch.context() as soon:
            # Soon after this call the instance goes; it stays after the others, however slow they are.
            soon.setattr("prx.plugins.lane._IDLE_SECS", 0.01)
            await host.call("grow", {"pages": 1})
            await eventually(lambda: plugin.memory_usage_bytes() == 0)
        assert await host.output("next", {"trap": False}) == 1
        assert plugin.memory_usage_bytes() == PAGE


async def test_the_figure_for_memory_is_the_kernels(host: PluginHost) -> None:
    host.drop("moody", moody(), manifest=MANIFEST.format("moody") + WARM)
    async with host.running():
        plugin = await host.until("moody", "loaded")
        before = linear_memories()
        await host.call("grow", {"pages": 100})
        new = dict(linear_memories().items() - before.items())
        assert list(new.values()) == [plugin.memory_usage_bytes()] == [101 * PAGE]


def _mappings() -> int:
    return len(Path("/proc/self/maps").read_text().splitlines())


@pytest.mark.parametrize(
    ("name", "calls"), [("trap", 1000), ("exits", 300), ("memory-bomb", 100), ("bad-utf8", 300)]
)
async def test_failing_calls_leave_nothing_behind(name: str, calls: int, host: PluginHost) -> None:
    host.limit(max_memory_mb=4)
    host.drop(name)
    async with host.running():
        loaded = (await host.until(name, "loaded")).loaded
        assert loaded is not None
        # Not through the router: a plugin that fails so often would be in quarantine.
        [run] = [
            PluginTool(bound, loaded.generation) for bound in loaded.bound.tools if bound.spec.name == "run"
        ]

        async def fail(times: int) -> None:
            for _ in range(times):
                assert (await run.call({}, CALLER)).error is not None

        await fail(20)
        await asyncio.gather(*(fail(5) for _ in range(4)))
        gc.collect()
        threads, descriptors, mappings = threading.active_count(), open_descriptors(), _mappings()
        await fail(calls)
        gc.collect()
        # An instance more may wait in stock than did before; each call that leaked would be a descriptor or two.
        settled = descriptors + calls // 10
        await eventually(lambda: threading.active_count() <= threads and open_descriptors() <= settled)
        # The allocator keeps some arenas of its own; each leaked instance would be at least two mappings.
        assert _mappings() < mappings + calls // 4
        assert loaded.generation.meter.totals().failures == 40 + calls


async def test_a_busy_plugin_refuses_what_is_too_much_and_frees_callers_at_the_end(host: PluginHost) -> None:
    host.settle("loop", limits={"max_concurrency": 1, "max_execution_time_ms": 3_600_000})
    host.drop("loop")
    async with host.running():
        await host.until("loop", "loaded")
        calls = [asyncio.ensure_future(host.call("run")) for _ in range(66)]
        await eventually(calls[-1].done)
        with pytest.raises(UnavailableError, match='plugin "loop" is busy: 65 calls run or wait'):
            await calls.pop()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    first = ended[0]
    assert isinstance(first, ToolResult)
    assert first.error is not None
    assert first.error.code == "cancelled"
    assert all(isinstance(end, UnavailableError) for end in ended[1:])
    await eventually(lambda: threads_named("prx-") == [])


async def test_a_caller_that_leaves_costs_the_next_one_nothing(host: PluginHost) -> None:
    host.settle("sleeper", limits={"max_concurrency": 1, "max_execution_time_ms": 2000})
    host.drop("sleeper")
    async with host.running():
        await host.until("sleeper", "loaded")
        for _ in range(3):
            left = asyncio.ensure_future(host.call("run"))
            await eventually(lambda: host.plugin("sleeper").memory_usage_bytes() > 0)
            left.cancel()
            assert await host.output("ping") == "pong"


async def test_the_totals_of_a_plugin_go_on_over_its_generations(host: PluginHost) -> None:
    host.drop("echo")
    async with host.running():
        await host.until("echo", "loaded")
        for text in ("a", "bc"):
            await host.output("echo", {"text": text})
        await host.catalogue.reload("echo")
        await host.output("echo", {"text": "def"})
        detail = host.plugin("echo").detail()
        assert (detail["calls"]["total"], detail["calls"]["bytes_in"]) == (1, 3)
        assert (detail["totals"]["total"], detail["totals"]["bytes_in"]) == (3, 6)
        assert detail["totals"]["guest_ms"] > detail["calls"]["guest_ms"] > 0
