"""Keys of `[plugins]` change while plugins run: each acts, on those that it concerns, and no call fails for it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from prx.core.errors import ConflictError
from prx.plugins.generation import Generation
from prx.plugins.signer import generate, sign
from prx.plugins.sources import source_at
from tests.components.corpus import component
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually

MANIFEST = '[plugin]\nname = "{}"\nversion = "1.0.0"\n'


@pytest.fixture
def host(host: PluginHost) -> PluginHost:
    """A host with two plugins; the second sets its own time limit."""
    host.drop("echo")
    host.drop("adder", manifest=MANIFEST.format("adder") + "[resources]\nmax_execution_time_ms = 4000\n")
    return host


async def changed(host: PluginHost, **keys: Any) -> None:
    """Change keys of `[plugins]` as the daemon does."""
    old = host.config
    host.configure(**keys)
    await host.catalogue.reconfigured(old)


async def settled(host: PluginHost, name: str, **settings: Any) -> None:
    """Change the operator's settings of one plugin as the daemon does."""
    old = host.config
    host.settle(name, **settings)
    await host.catalogue.reconfigured(old)


async def limited(host: PluginHost, **limits: Any) -> None:
    """Change `[plugins.limits]` as the daemon does."""
    old = host.config
    host.limit(**limits)
    await host.catalogue.reconfigured(old)


async def serving(host: PluginHost, *names: str) -> None:
    for name in names:
        await host.until(name, "loaded")


def generation(host: PluginHost, name: str) -> Generation:
    loaded = host.plugin(name).loaded
    assert loaded is not None
    return loaded.generation


def limit(host: PluginHost, name: str, key: str) -> Any:
    return host.plugin(name).detail()["limits"][key]


async def test_a_limit_acts_on_those_plugins_that_do_not_set_it_themselves(host: PluginHost) -> None:
    async with host.running():
        await serving(host, "echo", "adder")
        own = generation(host, "adder")
        await limited(host, max_execution_time_ms=1234)
        assert limit(host, "echo", "max_execution_time_ms") == 1234
        assert limit(host, "adder", "max_execution_time_ms") == 4000
        assert generation(host, "adder") is own
        assert await host.output("echo", {"text": "x"}) == "x"
        assert host.plugin("echo").number == 1  # no other version


async def test_a_limit_ends_the_next_call_while_one_in_flight_keeps_its_own(host: PluginHost) -> None:
    host.limit(max_execution_time_ms=5000)
    host.drop("loop")
    async with host.running():
        await serving(host, "loop")
        before = asyncio.create_task(host.call("run"))
        await eventually(lambda: host.plugin("loop").memory_usage_bytes() > 0)
        await limited(host, max_execution_time_ms=100)
        after = await host.call("run")
        assert not before.done()
        assert after.error is not None
        assert after.error.code == "timeout"
        assert "100 ms" in after.error.message
        first = await before
        assert first.error is not None
        assert "5000 ms" in first.error.message


async def test_settings_of_one_plugin_touch_no_other(host: PluginHost) -> None:
    async with host.running():
        await serving(host, "echo", "adder")
        other = generation(host, "echo")
        await settled(host, "adder", tool_prefix="my_")
        assert await host.output("my_add", {"a": 1, "b": 2}) == 3
        assert [spec.name for spec in host.router.specs()] == ["echo", "my_add"]
        assert generation(host, "echo") is other


async def test_what_says_the_same_in_other_words_touches_nothing(host: PluginHost) -> None:
    async with host.running():
        await serving(host, "echo", "adder")
        before = [generation(host, name) for name in ("echo", "adder")]
        await settled(host, "adder", limits={"max_execution_time_ms": 4000}, tool_prefix="")
        await changed(host, allow_private_targets=True, auto_grant=("events", "kv"))
        assert [generation(host, name) for name in ("echo", "adder")] == before


async def test_a_prefix_resolves_a_clash_of_names(host: PluginHost) -> None:
    async with host.running():
        await serving(host, "echo")
        host.drop("twin", component("echo"))
        await host.until("twin", "error", "is already offered by plugin")
        await settled(host, "twin", tool_prefix="twin_")
        assert await host.output("twin_echo", {"text": "x"}) == "x"
        assert host.plugin("twin").error is None


async def test_a_permission_of_all_plugins_comes_and_goes_in_place(host: PluginHost) -> None:
    host.drop(
        "needy",
        component("fallible"),
        manifest=MANIFEST.format("needy") + '[permissions]\nrequired = ["kv"]\n',
    )
    host.drop(
        "modest",
        component("counter"),
        manifest=MANIFEST.format("modest") + '[permissions]\noptional = ["kv"]\n',
    )
    async with host.running():
        await serving(host, "needy", "modest")
        before = [generation(host, name) for name in ("needy", "modest")]
        await changed(host, auto_grant=("events",))
        assert "kv" not in generation(host, "modest").owner.permissions
        assert host.plugin("needy").status == "error"
        assert "prx plugin grant needy kv" in (host.plugin("needy").error or "")
        await changed(host, auto_grant=("events", "kv"))
        assert "kv" in generation(host, "modest").owner.permissions
        assert [host.plugin(name).status for name in ("needy", "modest")] == ["loaded", "loaded"]
        assert [generation(host, name) for name in ("needy", "modest")] == before


async def test_a_plugin_that_waits_for_a_permission_loads_when_all_are_given_it(host: PluginHost) -> None:
    host.drop(
        "needy",
        component("fallible"),
        manifest=MANIFEST.format("needy") + '[permissions]\nrequired = ["memory"]\n',
    )
    async with host.running():
        await host.until("needy", "error", "memory")
        await changed(host, auto_grant=("memory",))
        assert host.plugin("needy").status == "loaded"


async def test_what_is_not_trusted_any_more_is_out_of_service_at_once(
    host: PluginHost, tmp_path: Path
) -> None:
    key = generate(tmp_path / "author.key")
    source = source_at(host.directory / "echo.wasm")
    assert source is not None
    sign(source, tmp_path / "author.key")
    async with host.running():
        await serving(host, "echo", "adder")
        before = generation(host, "echo")
        await changed(host, trusted_keys=(key,), require_signature=True)
        assert host.plugin("echo").detail()["signature"] == {"key": key, "trusted": True}
        assert await host.output("echo", {"text": "x"}) == "x"
        assert host.plugin("adder").status == "error"
        assert "it is not signed" in (host.plugin("adder").error or "")
        with pytest.raises(ConflictError, match="it is not signed"):
            await host.call("add", {"a": 1, "b": 2})
        await host.catalogue.decide("adder", {})  # a decision about something else gives no trust
        assert host.plugin("adder").status == "error"
        await changed(host, trusted_keys=())
        assert "which is none of plugins.trusted_keys" in (host.plugin("echo").error or "")
        await changed(host, require_signature=False)
        assert [host.plugin(name).status for name in ("echo", "adder")] == ["loaded", "loaded"]
        assert await host.output("add", {"a": 1, "b": 2}) == 3
        assert generation(host, "echo") is before


async def test_a_plugin_that_was_not_trusted_loads_once_its_key_is(host: PluginHost, tmp_path: Path) -> None:
    key = generate(tmp_path / "author.key")
    source = source_at(host.directory / "echo.wasm")
    assert source is not None
    sign(source, tmp_path / "author.key")
    host.configure(require_signature=True)
    async with host.running():
        await host.until("echo", "error", "none of plugins.trusted_keys")
        await changed(host, trusted_keys=(key,))
        assert await host.output("echo", {"text": "x"}) == "x"


async def test_fewer_generations_are_kept_at_once(host: PluginHost, tmp_path: Path) -> None:
    host.data_dir = tmp_path  # kept versions of its own
    async with host.running():
        for number, name in enumerate(("counter", "fallible", "every-type"), start=1):
            host.drop("many", component(name))
            await eventually(
                lambda number=number: "many" in host.names() and host.plugin("many").number == number
            )
        assert [row["generation"] for row in host.catalogue.versions("many")] == [3, 2, 1]
        await changed(host, keep_generations=1)
        assert [row["generation"] for row in host.catalogue.versions("many")] == [3]


async def test_a_change_while_a_plugin_loads_is_obeyed_when_it_has(host: PluginHost) -> None:
    async with host.running():
        await serving(host, "echo", "adder")
        loading = [asyncio.create_task(host.catalogue.reload("echo")) for _ in range(3)]
        await limited(host, max_execution_time_ms=1111)
        await asyncio.gather(*loading)
        await limited(host, max_output_kb=512)
        assert (limit(host, "echo", "max_execution_time_ms"), limit(host, "echo", "max_output_kb")) == (
            1111,
            512,
        )


async def test_no_call_fails_while_keys_change(host: PluginHost) -> None:
    async with host.running():
        await serving(host, "echo", "adder")
        over = asyncio.Event()
        outputs: list[Any] = []

        async def caller() -> None:
            while not over.is_set():
                outputs.append(await host.output("echo", {"text": "x"}))

        callers = [asyncio.create_task(caller()) for _ in range(4)]
        for step in range(30):
            await limited(host, max_execution_time_ms=5000 + step, max_concurrency=4 + step % 3)
            await settled(host, "echo", config={"step": str(step)})
            await changed(host, auto_grant=("kv",) if step % 2 else ("kv", "events"))
        over.set()
        await asyncio.gather(*callers)
        assert set(outputs) == {"x"}
        assert limit(host, "echo", "max_execution_time_ms") == 5029
