"""Calls that nobody wants any more: the guest ends at once, and its plugin is as good as before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from prx.core.tool import ToolFailure, ToolResult
from tests.integration.egress.servers import serving, silent
from tests.integration.plugins.fetcher import installed, manifest
from tests.integration.plugins.scripted import scripted
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually

_AN_HOUR_MS = 3_600_000


@asynccontextmanager
async def looping(host: PluginHost, **resources: Any) -> AsyncIterator[PluginHost]:
    """Run a plugin whose tool `run` never returns and which may take an hour."""
    limits = {"max_execution_time_ms": _AN_HOUR_MS, **resources}
    lines = "".join(f"{key} = {value}\n" for key, value in limits.items())
    host.drop("loop", manifest=f'[plugin]\nname = "loop"\nversion = "1.0.0"\n[resources]\n{lines}')
    async with host.running():
        await host.until("loop", "loaded")
        yield host


def busy(host: PluginHost) -> int:
    loaded = host.plugin("loop").loaded
    assert loaded is not None
    return loaded.generation._lane.outstanding


async def called(host: PluginHost) -> "asyncio.Task[ToolResult]":
    """Return a call whose guest spins."""
    loaded = host.plugin("loop").loaded
    assert loaded is not None
    running = len(loaded.generation._instances._taken)
    call = asyncio.create_task(host.call("run"))
    await eventually(lambda: len(loaded.generation._instances._taken) > running)
    return call


async def cancel(call: "asyncio.Task[Any]") -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize(
    "resources",
    [{}, {"max_fuel": 2**62}, {"instance": '"warm"'}],
    ids=["fresh", "metered", "warm"],
)
async def test_a_guest_that_spins_ends_with_its_call_and_the_plugin_serves_on(
    host: PluginHost, resources: dict[str, Any]
) -> None:
    async with looping(host, max_concurrency=1, **resources):
        for _ in range(6):  # one more than failures bring into quarantine
            await cancel(await called(host))
            await eventually(lambda: busy(host) == 0)
        # The only thread that the plugin may have is free again.
        assert await host.output("ping") == "pong"
        plugin = host.plugin("loop")
        assert plugin.status == "loaded"
        totals = plugin.meter.totals()
        assert (totals.errors_by_code, totals.failures) == ({"cancelled": 6}, 0)
        assert plugin.meter.last_error is None
        assert totals.guest_ms > 0


async def test_its_neighbours_go_on(host: PluginHost) -> None:
    async with looping(host, max_concurrency=2):
        wanted, unwanted = await called(host), await called(host)
        await cancel(unwanted)
        await eventually(lambda: busy(host) == 1)
        assert await host.output("ping") == "pong"
        assert not wanted.done()
        await cancel(wanted)
        await eventually(lambda: busy(host) == 0)


async def test_a_call_that_waits_for_its_turn_never_runs(host: PluginHost) -> None:
    async with looping(host, max_concurrency=1):
        running = await called(host)
        waiting = asyncio.create_task(host.call("run"))
        await eventually(lambda: busy(host) == 2)
        await cancel(waiting)
        await cancel(running)
        assert await host.output("ping") == "pong"
        assert host.plugin("loop").meter.totals().errors_by_code == {"cancelled": 1}


async def test_calls_that_run_when_the_host_ends_are_not_held_against_the_plugin(host: PluginHost) -> None:
    async with looping(host, max_concurrency=4):
        calls = [await called(host) for _ in range(4)]
        plugin = host.plugin("loop")
    assert [(await call).error for call in calls] == [ToolFailure("cancelled", "the call was cancelled")] * 4
    assert plugin.gate.sentence is None


async def test_a_guest_that_waits_for_an_answer_from_outside_ends_too(host: PluginHost) -> None:
    host.configure(allow_private_targets=True)
    async with serving(silent) as server:
        wanted = manifest([server.url()], max_execution_time_ms=_AN_HOUR_MS, max_concurrency=1)
        async with installed(host, wanted) as guest:
            call = asyncio.create_task(guest.fetch(server.url()))
            await eventually(lambda: server.received)
            await cancel(call)
            assert await guest.setting("nothing") is not None


@pytest.mark.slow
async def test_a_guest_of_wasi_http_that_waits_ends_too(host: PluginHost, javascript: bytes) -> None:
    sleeping = "clock.subscribeDuration(3600000000000n).block(); return 1;"
    limits = manifest(["http://127.0.0.1/"], max_execution_time_ms=_AN_HOUR_MS, max_concurrency=1)
    async with scripted(host, javascript, limits) as guest:
        call = asyncio.create_task(guest.returned(sleeping))
        await eventually(lambda: _waiting_in_the_host(host))
        await cancel(call)
        assert await guest.returned("return 2;") == 2


def _waiting_in_the_host(host: PluginHost) -> bool:
    loaded = host.plugin("fetcher").loaded
    assert loaded is not None
    return any(call._waits for call in loaded.generation._ticker._busy)
