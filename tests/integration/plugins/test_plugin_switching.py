"""Out of service and back: disable, enable, reload, and what a missing permission does."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from prx.core.errors import BadRequestError, ConflictError, NotFoundError
from prx.core.tool import CallContext, ToolResult, ToolSpec
from tests.components.corpus import component
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually

KV_TOOL = '[plugin]\nname = "{}"\nversion = "1.0.0"\n[permissions]\nrequired = ["kv"]\n'
DISABLED = 'plugin "echo" is disabled; POST /api/v1/plugins/echo/enable puts it back into service'


class Builtin:
    """A tool of somebody else that has the name of a plugin's."""

    spec = ToolSpec("echo", "", {"type": "object"}, "builtin")

    async def call(self, _arguments: Mapping[str, Any], _context: CallContext) -> ToolResult:
        return ToolResult("builtin")


@pytest.fixture
async def echo(host: PluginHost) -> AsyncIterator[PluginHost]:
    """A host that runs the echo plugin."""
    host.drop("echo")
    async with host.running():
        await host.until("echo", "loaded")
        yield host


async def test_a_disabled_plugin_says_so_to_callers_and_keeps_its_row(echo: PluginHost) -> None:
    for _ in range(2):  # idempotent
        plugin = await echo.catalogue.disable("echo")
        assert (plugin.status, plugin.error, plugin.capabilities) == ("disabled", None, ["tool:echo"])
        assert echo.router.specs() == []
        assert echo.catalogue.problems() == []
        with pytest.raises(ConflictError) as caught:
            await echo.call("echo", {"text": "x"})
        assert caught.value.message == DISABLED


async def test_an_enabled_plugin_serves_again_at_once(echo: PluginHost) -> None:
    await echo.catalogue.disable("echo")
    for _ in range(2):  # idempotent
        plugin = await echo.catalogue.enable("echo")
        assert plugin.status == "loaded"
        assert await echo.output("echo", {"text": "back"}) == "back"
    assert echo.plugin("echo").number == 1


async def test_a_disabled_plugin_stays_so_over_a_restart(host: PluginHost) -> None:
    host.drop("echo")
    async with host.running():
        await host.until("echo", "loaded")
        await host.catalogue.disable("echo")
    for _ in range(2):
        async with host.running():
            assert host.at_start == {"echo": "disabled"}
            await eventually(lambda: host.plugin("echo").capabilities == ["tool:echo"])
            with pytest.raises(ConflictError):
                await host.call("echo", {"text": "x"})
    async with host.running():
        assert (await host.catalogue.enable("echo")).status in {"loaded", "loading"}
        await host.until("echo", "loaded")
    async with host.running():
        assert host.at_start == {"echo": "loaded"}


async def test_a_disabled_plugin_stays_so_when_its_file_changes_or_comes_back(echo: PluginHost) -> None:
    path = echo.directory / "echo.wasm"
    await echo.catalogue.disable("echo")
    echo.drop("echo", component("adder"))
    await eventually(lambda: echo.plugin("echo").capabilities == ["tool:add"])
    assert echo.router.specs() == []
    path.unlink()
    await eventually(lambda: echo.names() == [])
    with pytest.raises(NotFoundError):
        await echo.call("add", {"a": 1, "b": 1})
    echo.drop("echo")
    await eventually(lambda: echo.names() == ["echo"])
    assert echo.plugin("echo").status == "disabled"
    await echo.catalogue.enable("echo")
    await echo.until("echo", "loaded")
    assert await echo.output("echo", {"text": "again"}) == "again"


async def test_a_broken_plugin_can_be_disabled_and_tells_its_fault_when_enabled(echo: PluginHost) -> None:
    echo.drop("bad", b"text")
    await echo.until("bad", "error", "not WebAssembly")
    assert (await echo.catalogue.disable("bad")).error is None
    plugin = await echo.catalogue.enable("bad")
    assert plugin.status == "error"
    assert "not WebAssembly" in (plugin.error or "")


async def test_a_plugin_whose_name_was_taken_meanwhile_stays_disabled(echo: PluginHost) -> None:
    await echo.catalogue.disable("echo")
    with echo.router.offering([Builtin()]):
        with pytest.raises(ConflictError, match='tool "echo" is already offered by builtin'):
            await echo.catalogue.enable("echo")
        assert echo.plugin("echo").status == "disabled"
        assert await echo.output("echo") == "builtin"
    with pytest.raises(ConflictError, match="is disabled"):
        await echo.call("echo", {"text": "x"})
    await echo.catalogue.enable("echo")
    assert await echo.output("echo", {"text": "mine"}) == "mine"


async def test_unknown_plugins_are_not_found(echo: PluginHost) -> None:
    for ask in (echo.catalogue.reload, echo.catalogue.disable, echo.catalogue.enable):
        with pytest.raises(NotFoundError, match='Plugin "nobody" not found'):
            await ask("nobody")


async def test_a_reload_of_the_same_files_builds_anew_and_is_the_same_generation(echo: PluginHost) -> None:
    before = echo.plugin("echo").loaded
    plugin = await echo.catalogue.reload("echo")
    assert (plugin.status, plugin.number) == ("loaded", 1)
    assert plugin.loaded is not before
    assert await echo.output("echo", {"text": "x"}) == "x"


async def test_a_reload_of_a_disabled_plugin_is_a_conflict(echo: PluginHost) -> None:
    await echo.catalogue.disable("echo")
    with pytest.raises(ConflictError, match='plugin "echo" is disabled; enable it first'):
        await echo.catalogue.reload("echo")


async def test_a_reload_that_fails_gives_the_reason_and_keeps_the_old_one(host: PluginHost) -> None:
    host.configure(watch=False)
    host.drop("echo")
    async with host.running():
        await host.until("echo", "loaded")
        host.drop("echo", component("core-module"))
        with pytest.raises(ConflictError, match=r"echo\.wasm is a core WebAssembly module"):
            await host.catalogue.reload("echo")
        assert host.plugin("echo").status == "loaded"
        assert await host.output("echo", {"text": "old"}) == "old"
        (host.directory / "echo.wasm").unlink()
        with pytest.raises(ConflictError, match=r"echo\.wasm cannot be read: No such file"):
            await host.catalogue.reload("echo")
        assert await host.output("echo", {"text": "old"}) == "old"


async def test_a_failed_plugin_can_be_reloaded(host: PluginHost) -> None:
    host.drop("slow", component("loop-at-start"))
    host.limit(max_execution_time_ms=50)
    async with host.running():
        await host.until("slow", "error", "timeout")
        with pytest.raises(ConflictError, match="it does not start: timeout"):
            await host.catalogue.reload("slow")


async def test_no_call_is_lost_while_a_plugin_is_reloaded_and_replaced(echo: PluginHost) -> None:
    over = False

    async def caller(name: str) -> int:
        answered = 0
        while not over:
            assert await echo.output("echo", {"text": f"{name}-{answered}"}) == f"{name}-{answered}"
            answered += 1
        return answered

    callers = [asyncio.ensure_future(caller(f"caller-{number}")) for number in range(4)]
    for number in range(10):
        await echo.catalogue.reload("echo")
        before = echo.plugin("echo").number
        # The same exports under another digest: an empty custom section more.
        echo.drop("echo", component("echo") + b"\0\x02\x01" + bytes((0x61 + number,)))
        await eventually(lambda before=before: echo.plugin("echo").number > before)
    over = True
    assert min(await asyncio.gather(*callers)) > 0
    assert echo.plugin("echo").status == "loaded"


async def test_a_call_in_flight_finishes_on_the_version_that_took_it(host: PluginHost) -> None:
    host.settle("sleeper", limits={"max_execution_time_ms": 30_000})
    host.drop("sleeper")
    async with host.running():
        await host.until("sleeper", "loaded")
        asleep = asyncio.ensure_future(host.call("sleep", {"nanoseconds": 1_000_000_000}))
        await eventually(lambda: host.plugin("sleeper").memory_usage_bytes() > 0)
        host.drop("sleeper", component("adder"))
        await eventually(lambda: [spec.name for spec in host.router.specs()] == ["add"])
        assert (await asleep).output == "awake"


async def test_a_call_in_flight_finishes_when_its_plugin_is_disabled_or_deleted(host: PluginHost) -> None:
    for name in ("one", "two"):
        host.settle(name, limits={"max_execution_time_ms": 30_000}, tool_prefix=f"{name}_")
        host.drop(name, component("sleeper"))
    async with host.running():
        for name in ("one", "two"):
            await host.until(name, "loaded")
        asleep = [
            asyncio.ensure_future(host.call(f"{name}_sleep", {"nanoseconds": 1_000_000_000}))
            for name in ("one", "two")
        ]
        await eventually(lambda: all(host.plugin(name).memory_usage_bytes() > 0 for name in ("one", "two")))
        await host.catalogue.disable("one")
        (host.directory / "two.wasm").unlink()
        await eventually(lambda: host.names() == ["one"])
        assert [(await call).output for call in asleep] == ["awake", "awake"]


async def test_a_missing_permission_is_named_with_the_command_that_grants_it(host: PluginHost) -> None:
    host.configure(auto_grant=())
    host.drop("prx-tool", manifest=KV_TOOL.format("prx-tool"))
    async with host.running():
        await host.until(
            "prx-tool", "error", 'requires "kv", which is not granted: prx plugin grant prx-tool kv'
        )
        await host.catalogue.decide("prx-tool", {"kv": True})
        await host.until("prx-tool", "loaded")
        assert await host.output("remember", {"text": "a"}) == ""
    async with host.running():
        assert host.at_start == {"prx-tool": "loaded"}
        await host.catalogue.decide("prx-tool", {"kv": False})
        assert host.plugin("prx-tool").status == "error"
        with pytest.raises(ConflictError, match='plugin "prx-tool" requires "kv", which is not granted'):
            await host.call("remember")
    async with host.running():
        assert host.at_start == {"prx-tool": "error"}


async def test_a_plugin_that_lacks_several_permissions_loads_with_the_last_of_them(host: PluginHost) -> None:
    text = KV_TOOL.format("prx-tool").replace('["kv"]', '["kv", "memory", "events"]')
    host.configure(auto_grant=())
    host.drop("prx-tool", manifest=text)
    async with host.running():
        await host.until("prx-tool", "error", "prx plugin grant prx-tool kv memory events")
        await host.catalogue.decide("prx-tool", {"memory": True})
        await host.until("prx-tool", "error", "prx plugin grant prx-tool kv events")
        plugin = await host.catalogue.decide("prx-tool", {"kv": True, "events": True})
        assert (plugin.status, plugin.error) == ("loaded", None)


async def test_what_a_plugin_does_not_ask_for_cannot_be_granted_but_revoked(host: PluginHost) -> None:
    host.drop("prx-tool", manifest=KV_TOOL.format("prx-tool"))
    host.drop("echo")
    async with host.running():
        await host.until("prx-tool", "loaded")
        await host.until("echo", "loaded")
        with pytest.raises(BadRequestError, match='does not ask for "memory", but for kv: '):
            await host.catalogue.decide("prx-tool", {"kv": False, "memory": True})
        assert host.catalogue.grants_of("prx-tool")["decisions"] == {}
        with pytest.raises(BadRequestError, match='"echo" does not ask for "kv", but for nothing: '):
            await host.catalogue.decide("echo", {"kv": True})
        with pytest.raises(NotFoundError):
            await host.catalogue.decide("absent", {"kv": True})
        assert (await host.catalogue.decide("prx-tool", {"memory": False})).status == "loaded"


async def test_a_bare_file_has_no_permission_for_kv_and_the_refusal_is_kept(host: PluginHost) -> None:
    host.drop("prx-tool")
    async with host.running():
        await host.until("prx-tool", "loaded")
        result = await host.call("remember", {"text": "a"})
        assert result.error is not None
        assert result.error.code == "permission_denied"
        assert 'called kv.get without the permission "kv"' in result.error.message
    async with host.running():
        await host.until("prx-tool", "loaded")
        [denial] = host.catalogue.grants_of("prx-tool")["denials"]
        assert (denial["permission"], denial["operation"], denial["count"]) == ("kv", "kv.get", 1)
        assert denial["allow_with"] == (
            'add "kv" to [permissions] optional in plugin.toml, then: prx plugin grant prx-tool kv'
        )


async def test_a_permission_that_is_revoked_while_a_new_version_loads_stays_revoked(host: PluginHost) -> None:
    host.drop("prx-tool", manifest=KV_TOOL.format("prx-tool"))
    async with host.running():
        await host.until("prx-tool", "loaded")
        # Content that no test compiled before, so that loading takes as long as a compiler.
        host.drop(
            "prx-tool", component("prx-tool") + b"\0\x09\x08revoked!", manifest=KV_TOOL.format("prx-tool")
        )
        await eventually(lambda: host.plugin("prx-tool").compiling)
        await host.catalogue.decide("prx-tool", {"kv": False})
        await eventually(lambda: not host.plugin("prx-tool").loading)
        with pytest.raises(ConflictError, match='requires "kv", which is not granted'):
            await host.call("remember")
        await host.catalogue.decide("prx-tool", {"kv": True})
        await host.until("prx-tool", "loaded")
        assert await host.output("remember") == ""


async def test_a_version_that_is_granted_what_it_waits_for_while_disabled_runs_when_enabled(
    echo: PluginHost,
) -> None:
    manifest = '[plugin]\nname = "votes"\nversion = "{}"\n{}'
    echo.drop("votes", component("adder"), manifest=manifest.format("1.0.0", ""))
    await echo.until("votes", "loaded")
    asks = '[permissions]\nrequired = ["memory"]\n'
    echo.drop("votes", component("adder"), manifest=manifest.format("1.1.0", asks))
    await echo.until("votes", "loaded", 'requires "memory"')
    await echo.catalogue.disable("votes")
    await echo.catalogue.decide("votes", {"memory": True})
    plugin = await echo.catalogue.enable("votes")
    assert (plugin.status, plugin.version, plugin.error) == ("loaded", "1.1.0", None)
