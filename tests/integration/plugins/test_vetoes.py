"""Hooks that are asked before a tool runs: an error vetoes, and whoever cannot answer lets nothing through."""

from collections.abc import AsyncIterator

import pytest

from prx.core.errors import ForbiddenError, NotFoundError
from prx.core.event import topics
from prx.runtime.tools import BEFORE_EXECUTE
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually
from tests.support.wat import binary

# A hook whose `on-event` does what a test likes; its result lies at 16: no error, and at 32: the error "no".
_HOOK = """
(component
  (core module $guest
    (memory (export "memory") 1)
    (data (i32.const 16) "\\00")
    (data (i32.const 32) "\\01\\00\\00\\00" "\\40\\00\\00\\00\\02\\00\\00\\00")
    (data (i32.const 64) "no")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func (export "on-event") (param i32 i32 i32 i32) (result i32) {}))
  (core instance $guest (instantiate $guest))
  (func $on-event (param "event" string) (param "payload-json" string) (result (result (error string)))
    (canon lift (core func $guest "on-event")
      (memory (core memory $guest "memory")) (realloc (core func $guest "realloc"))))
  (instance $exports (export "on-event" (func $on-event)))
  (export "prx:plugin/hook-exports@0.1.0" (instance $exports)))
"""
ALLOWS, REFUSES, TRAPS, LOOPS = (
    binary(_HOOK.format(body))
    for body in ("i32.const 16", "i32.const 32", "unreachable", "(loop $again (br $again)) unreachable")
)


def manifest(name: str, *events: str, permissions: str = "") -> str:
    patterns = ", ".join(f'"{event}"' for event in events)
    return (
        f'[plugin]\nname = "{name}"\nversion = "1.0.0"\n{permissions}\n'
        f'[[capabilities]]\ntype = "hook"\nevents = [{patterns}]\n'
        "[resources]\nmax_execution_time_ms = 1000\n"
    )


@pytest.fixture
async def running(host: PluginHost) -> AsyncIterator[PluginHost]:
    host.drop("echo")
    async with host.running():
        await host.until("echo", "loaded")
        yield host


async def installed(host: PluginHost, name: str, hook: bytes, *events: str) -> None:
    host.drop(name, hook, manifest=manifest(name, *(events or (BEFORE_EXECUTE,))))
    await host.until(name, "loaded")


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        (REFUSES, "which says: no"),
        (TRAPS, r"which failed \(trap\): the guest trapped"),
        (LOOPS, r"which failed \(timeout\): the call ran longer than its limit of 1000 ms"),
    ],
)
async def test_an_error_a_trap_and_a_timeout_all_keep_the_tool_from_running(
    running: PluginHost, hook: bytes, reason: str
) -> None:
    with running.bus.subscribed(topics("prx.tool.**")) as events:
        await installed(running, "guard", hook)
        with pytest.raises(
            ForbiddenError, match=f'the call of "echo" was vetoed by plugin "guard", {reason}'
        ):
            await running.call("echo", {"text": "x"})
        assert events.queued == 0


async def test_a_call_that_every_hook_allows_runs_and_is_told_of_before_and_after(
    running: PluginHost,
) -> None:
    await installed(running, "first", ALLOWS)
    await installed(running, "second", ALLOWS, "prx.tool.*")
    with running.bus.subscribed(topics("prx.tool.**")) as events:
        assert await running.output("echo", {"text": "x"}) == "x"
        taken = events.__aiter__()
        before, after = await anext(taken), await anext(taken)
    assert before.topic == BEFORE_EXECUTE
    assert before.payload["tool"] == "echo"
    assert (after.topic, after.payload["success"], after.payload["error"]) == (
        "prx.tool.after_execute", True, None,
    )  # fmt: skip


async def test_a_hook_for_other_events_is_not_asked(running: PluginHost) -> None:
    await installed(running, "guard", REFUSES, "prx.plugin.*")
    assert await running.output("echo", {"text": "x"}) == "x"


async def test_hooks_are_asked_by_name_and_the_first_refusal_ends_it(running: PluginHost) -> None:
    await installed(running, "zebra", TRAPS)
    await installed(running, "ape", REFUSES)
    for _ in range(6):
        with pytest.raises(ForbiddenError, match='vetoed by plugin "ape"'):
            await running.call("echo", {"text": "x"})
    assert running.plugin("zebra").status == "loaded"


async def test_a_hook_that_crashes_into_quarantine_goes_on_vetoing_until_it_is_disabled(
    running: PluginHost,
) -> None:
    await installed(running, "guard", TRAPS)
    for _ in range(5):
        with pytest.raises(ForbiddenError, match=r"which failed \(trap\)"):
            await running.call("echo", {"text": "x"})
    await running.until("guard", "quarantined", "5 calls failed within 60 s")
    with pytest.raises(
        ForbiddenError, match='which could not be asked: plugin "guard" is in quarantine until'
    ):
        await running.call("echo", {"text": "x"})
    await running.catalogue.disable("guard")
    assert await running.output("echo", {"text": "x"}) == "x"


async def test_a_call_that_cannot_be_made_is_refused_before_anybody_is_asked(running: PluginHost) -> None:
    await installed(running, "guard", TRAPS)
    with pytest.raises(NotFoundError):
        await running.call("nosuchtool")
    loaded = running.plugin("guard").loaded
    assert loaded is not None
    assert loaded.generation.meter.totals().calls == 0


async def test_a_hook_hears_of_nothing_without_the_permission_for_events(running: PluginHost) -> None:
    running.configure(auto_grant=())
    running.drop("guard", REFUSES, manifest=manifest("guard", "*"))
    await running.until("guard", "error", 'requires "events", which is not granted')
    assert await running.output("echo", {"text": "x"}) == "x"
    await running.catalogue.decide("guard", {"events": True})
    await running.until("guard", "loaded")
    with pytest.raises(ForbiddenError):
        await running.call("echo", {"text": "x"})


async def test_a_hook_that_fails_at_every_event_keeps_nobody_from_the_next(running: PluginHost) -> None:
    await installed(running, "sulking", REFUSES, "test.*")
    for number in range(20):
        running.bus.publish("test.event", number)
    await eventually(lambda: running.plugin("sulking").detail()["events"]["failed"] == 20)
    assert running.plugin("sulking").status == "loaded"
