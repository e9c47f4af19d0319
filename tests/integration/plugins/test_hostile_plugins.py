"""Every hostile component ends as its header says, and its siblings notice nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.components.corpus import names, outcome
from tests.support.plugin_host import PluginHost

_AT_LOAD = {
    "giant-table-at-start": "out_of_memory",
    "loop-at-start": "timeout",
    "many-instances-at-start": "out_of_memory",
    "memory-at-start": "out_of_memory",
    "trap-at-start": "trap",
    "two-memories-at-start": "out_of_memory",
}
# Handing over much, burning fuel and taking memory take their time where others use the processors too.
_UNHURRIED = {"max_execution_time_ms": 10_000}
_RUNNING = [name for name in names("hostile") if outcome(name) != "refused" and name not in _AT_LOAD]
# What the sentence on the plugin says: the import or export, what was expected, or how it failed to start.
_REFUSED = {
    "core-module": "is a core WebAssembly module, not a component: wrap it with `wasm-tools component new`",
    "loop-at-start": "it does not start: timeout: the call ran longer than its limit",
    "memory-at-start": "it does not start: out_of_memory: the guest needs more than its 16 MiB",
    "giant-table-at-start": "it does not start: out_of_memory: the guest needs larger tables than this host gives it",
    "many-instances-at-start": "it does not start: out_of_memory: the component is made of more parts than this host",
    "one-name-twice": '2 of its functions would be the tool "a_b_c_d_1_0_0_one": rename them in the component',
    "tool-schema-list": "get-spec gives a parameters-schema that is not a JSON object but '[]'",
    "two-memories-at-start": "it does not start: out_of_memory: the component has several linear memories and",
    "unknown-host-function": "imports prx:host/config@0.1.0#erase-all, which prx:host@0.1.0 does not have: rebuild",
    "tool-bad-json": "get-spec gives a parameters-schema that is not JSON: ",
    "tool-bad-name": 'one of its tools would be named "two / words": a name has up to 64 letters, digits',
    "tool-bad-schema": 'tool "specimen": its parameters are not a JSON Schema: "objekt" is not valid',
    "tool-spec-loops": "it does not start: timeout: the call ran longer than its limit",
    "tool-spec-traps": "it does not start: trap: the guest trapped: wasm `unreachable` instruction executed",
    "tool-wrong-shape": "exports prx:plugin/tool-exports@0.1.0#get-spec as func() -> string, expected func() -> record",
    "tool-wrong-version": "exports prx:plugin/tool-exports@9.0.0, but this host runs prx:plugin/tool-exports@0.1.0",
    "trap-at-start": "it does not start: trap: the guest trapped: wasm `unreachable` instruction executed",
    "unknown-import": "imports near:agent/host@0.4.1, which this host does not offer. It offers prx:host@0.1.0",
    "wrong-host-signature": "imports prx:host/config@0.1.0#get as func(key: u32) -> u64, but this host offers func(",
    "wrong-host-version": "imports prx:host/config@9.0.0, which this host does not offer. It offers prx:host@0.1.0",
}  # fmt: skip


@pytest.fixture
async def besides_echo(host: PluginHost) -> AsyncIterator[PluginHost]:
    """A host that runs, with small limits and a plugin that behaves."""
    host.limit(max_execution_time_ms=300, max_memory_mb=16)
    host.settle("echo", limits=_UNHURRIED)
    host.drop("echo")
    async with host.running():
        await host.until("echo", "loaded")
        yield host


def limits_of(name: str) -> dict[str, int]:
    """Return the limits of a hostile component: who does not wait for the end of its time has time enough."""
    return {} if "timeout" in outcome(name) + _REFUSED.get(name, "") else _UNHURRIED


def attack_of(name: str) -> str:
    """Return the name of the attacking tool of a hostile component that has its own name as prefix."""
    return name.replace("-", "_") + ("_specimen" if name.startswith("tool-") else "_run")


@pytest.mark.parametrize("name", _RUNNING)
async def test_an_attack_ends_with_its_own_code_while_a_sibling_answers(
    name: str, besides_echo: PluginHost
) -> None:
    host = besides_echo
    host.settle(name, tool_prefix=name.replace("-", "_") + "_", limits=limits_of(name))
    host.drop(name)
    await host.until(name, "loaded")
    for _ in range(2):
        arguments = {"text": "a text"} if name == "bad-realloc" else {}
        attack = asyncio.ensure_future(host.call(attack_of(name), arguments))
        during = 0
        while not attack.done():
            assert await host.output("echo", {"text": "during"}) == "during"
            during += 1
        result = await attack
        assert result.error is not None
        assert (result.error.code, result.output) == (outcome(name), None)
        assert result.receipt is not None
        assert during > 0
    assert await host.output("echo", {"text": "after"}) == "after"
    assert host.plugin(name).status == "loaded"
    calls = host.plugin(name).detail()["calls"]
    # A tool's description was one call more.
    assert (calls["failed"], calls["errors"]) == (2, {outcome(name): 2})


def test_every_component_that_is_refused_has_its_reason_here() -> None:
    assert sorted(_REFUSED) == [name for name in names("hostile") if name not in _RUNNING]


@pytest.mark.parametrize("name", _REFUSED)
async def test_what_cannot_run_is_an_error_with_a_reason_and_disturbs_nobody(
    name: str, besides_echo: PluginHost
) -> None:
    host = besides_echo
    host.settle(name, limits=limits_of(name))
    host.drop(name)
    plugin = await host.until(name, "error", error=_REFUSED[name])
    assert _AT_LOAD.get(name, "") in (plugin.error or "")
    assert plugin.capabilities == []
    assert [problem.unit for problem in host.catalogue.problems()] == [f"plugin.{name}"]
    assert [spec.name for spec in host.router.specs()] == ["echo"]
    assert await host.output("echo", {"text": "after"}) == "after"


async def test_the_whole_corpus_at_once_leaves_the_sibling_answering(host: PluginHost) -> None:
    host.limit(max_execution_time_ms=1500, max_memory_mb=16)
    host.settle("echo", limits=_UNHURRIED)
    for name in names("hostile"):
        prefix = name.replace("-", "_") + "_" if name in _RUNNING else ""
        host.settle(name, tool_prefix=prefix, limits=limits_of(name))
    for name in ("echo", *names("hostile")):
        host.drop(name)
    async with host.running():
        for name in names("hostile"):
            await host.until(name, *(("loaded", None) if name in _RUNNING else ("error", _REFUSED[name])))
        await host.until("echo", "loaded")
        attacks = asyncio.gather(
            *(host.call(attack_of(name), {"text": "x"} if name == "bad-realloc" else {}) for name in _RUNNING)
        )
        while not attacks.done():
            assert await host.output("echo", {"text": "during"}) == "during"
        codes = [result.error.code if result.error else None for result in await attacks]
        assert codes == [outcome(name) for name in _RUNNING]
