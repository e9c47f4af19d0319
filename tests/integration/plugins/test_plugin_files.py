"""The directory is what is loaded: files that come, change, break, heal and go."""

import os
from pathlib import Path

import pytest

from prx.core.errors import ConflictError, NotFoundError
from tests.components.corpus import component
from tests.support.plugin_host import PluginHost, replace
from tests.support.waiting import eventually

MANIFEST = '[plugin]\nname = "{name}"\nversion = "{version}"\n'


def manifest(name: str, version: str = "1.2.0") -> str:
    return MANIFEST.format(name=name, version=version)


def tools(host: PluginHost) -> list[str]:
    return [spec.name for spec in host.router.specs()]


async def test_a_file_that_is_dropped_in_is_loaded_and_callable(host: PluginHost) -> None:
    async with host.running():
        assert host.catalogue.list() == []
        host.drop("echo")
        plugin = await host.until("echo", "loaded")
        assert (plugin.version, plugin.capabilities) == ("0.0.0", ["tool:echo"])
        assert await host.output("echo", {"text": "hello"}) == "hello"


async def test_what_was_there_at_the_start_serves_from_the_cache_when_the_catalogue_does(
    host: PluginHost,
) -> None:
    host.drop("echo")
    host.drop("adder", manifest=manifest("adder"))
    async with host.running():
        await host.until("echo", "loaded")
        await host.until("adder", "loaded")
    async with host.running():
        assert host.at_start == {"echo": "loaded", "adder": "loaded"}


async def test_the_catalogue_serves_while_a_plugin_still_compiles(host: PluginHost, tmp_path: Path) -> None:
    host.data_dir = tmp_path / "nothing-compiled-yet"
    host.drop("echo")
    async with host.running():
        assert host.at_start == {"echo": "loading"}
        await host.until("echo", "loaded")


async def test_a_replaced_file_answers_in_its_new_version(host: PluginHost) -> None:
    async with host.running():
        host.drop("sum", component("adder"))
        await host.until("sum", "loaded")
        assert tools(host) == ["add"]
        host.drop("sum", component("counter"))
        await eventually(lambda: tools(host) == ["next"])
        assert await host.output("next") == 1
        assert host.plugin("sum").number == 2
        with pytest.raises(NotFoundError):
            await host.call("add", {"a": 1, "b": 2})


async def test_a_deleted_file_is_gone(host: PluginHost) -> None:
    async with host.running():
        path = host.drop("echo")
        await host.until("echo", "loaded")
        path.unlink()
        await eventually(lambda: host.catalogue.list() == [])
        with pytest.raises(NotFoundError, match='Tool "echo" not found'):
            await host.call("echo", {"text": ""})
        with pytest.raises(NotFoundError, match='Plugin "echo" not found'):
            host.plugin("echo")


async def test_a_renamed_file_is_another_plugin(host: PluginHost) -> None:
    async with host.running():
        path = host.drop("echo")
        await host.until("echo", "loaded")
        path.rename(path.with_name("parrot.wasm"))
        await host.until("parrot", "loaded")
        assert host.names() == ["parrot"]
        assert await host.output("echo", {"text": "x"}) == "x"


async def test_a_directory_with_a_manifest_is_loaded_under_the_name_in_it(host: PluginHost) -> None:
    async with host.running():
        host.drop("echo", manifest=manifest("parrot", "2.3.4"))
        plugin = await host.until("parrot", "loaded")
        assert plugin.version == "2.3.4"
        replace(host.directory / "echo" / "plugin.toml", manifest("parrot", "2.4.0").encode())
        await eventually(lambda: host.plugin("parrot").version == "2.4.0")


async def test_a_directory_that_is_moved_in_as_a_whole_is_noticed_at_once(
    host: PluginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only a notice tells of it.
    monkeypatch.setattr("prx.plugins.watcher._POLL_SECS", 3600.0)
    (tmp_path / "ready").mkdir()
    (tmp_path / "ready" / "plugin.toml").write_text(manifest("echo"))
    (tmp_path / "ready" / "plugin.wasm").write_bytes(component("echo"))
    async with host.running():
        host.drop("adder")
        await host.until("adder", "loaded")
        (tmp_path / "ready").rename(host.directory / "echo")
        await host.until("echo", "loaded")
        (host.directory / "echo").rename(tmp_path / "ready")
        await eventually(lambda: host.names() == ["adder"])


async def test_a_component_deep_in_its_directory_is_noticed_when_it_changes(host: PluginHost) -> None:
    plugin = host.drop("sum", component("adder"), manifest=manifest("sum") + 'wasm = "build/out.wasm"\n')
    (plugin / "build").mkdir()
    replace(plugin / "build" / "out.wasm", component("adder"))
    async with host.running():
        await host.until("sum", "loaded")
        replace(plugin / "build" / "out.wasm", component("counter"))
        await eventually(lambda: tools(host) == ["next"])


async def test_a_broken_replacement_leaves_the_old_one_serving_and_says_so(host: PluginHost) -> None:
    async with host.running():
        host.drop("echo")
        loaded_at = (await host.until("echo", "loaded")).detail()["loaded_at"]
        host.drop("echo", b"not a component at all")
        plugin = await host.until("echo", "loaded", "echo.wasm is not WebAssembly")
        assert await host.output("echo", {"text": "still"}) == "still"
        [problem] = host.catalogue.problems()
        assert (problem.unit, problem.reason) == ("plugin.echo", plugin.error)
        assert plugin.detail()["loaded_at"] == loaded_at
        host.drop("echo")
        await host.until("echo", "loaded")
        assert host.catalogue.problems() == []


async def test_a_replacement_that_does_not_compile_says_so(host: PluginHost) -> None:
    async with host.running():
        host.drop("echo", component("echo") + b"\x63\x02\0\0")
        await host.until("echo", "error", "it is not a valid component: ")


async def test_a_wrong_key_in_a_manifest_is_named_and_can_be_mended(host: PluginHost) -> None:
    async with host.running():
        host.drop("echo", manifest=manifest("echo") + "[resources]\nmax_fule = 5\n")
        await host.until(
            "echo", "error", 'plugin.toml: [resources] unknown key "max_fule"; did you mean "max_fuel"?'
        )
        replace(host.directory / "echo" / "plugin.toml", manifest("echo").encode())
        await host.until("echo", "loaded")


async def test_a_file_that_is_still_being_written_loads_when_it_is_whole(host: PluginHost) -> None:
    wasm = component("echo")
    async with host.running():
        with (host.directory / "echo.wasm").open("wb", buffering=0) as file:
            file.write(wasm[: len(wasm) // 2])
            await host.until("echo", "loading")
            file.write(wasm[len(wasm) // 2 :])
        await host.until("echo", "loaded")
        assert host.plugin("echo").number == 1


async def test_a_file_that_stays_cut_short_is_told_so(host: PluginHost) -> None:
    async with host.running():
        host.drop("echo", component("echo")[:-10])
        await host.until("echo", "error", "it is not a valid component: ")


async def test_two_sources_of_one_name_are_an_error_that_names_both_until_one_goes(host: PluginHost) -> None:
    async with host.running():
        bare = host.drop("echo")
        await host.until("echo", "loaded")
        directory = host.drop("other", component("adder"), manifest=manifest("echo"))
        await host.until(
            "echo", "error", f'two plugins are named "echo": {bare} and {directory}; remove or rename one'
        )
        assert tools(host) == []
        with pytest.raises(ConflictError, match='two plugins are named "echo"'):
            await host.catalogue.reload("echo")
        bare.unlink()
        await host.until("echo", "loaded")
        assert tools(host) == ["add"]


async def test_a_taken_tool_name_says_who_holds_it_and_which_key_resolves_it(host: PluginHost) -> None:
    async with host.running():
        host.drop("echo")
        await host.until("echo", "loaded")
        host.drop("loud-echo", component("echo"))
        await host.until(
            "loud-echo",
            "error",
            'its tool "echo" is already offered by plugin "echo": '
            'set [plugins.settings.loud-echo] tool_prefix = "loud_echo_" in prx.toml, or remove one of the two',
        )
        host.settle("loud-echo", tool_prefix="loud_echo_")
        await host.catalogue.reload("loud-echo")
        assert tools(host) == ["echo", "loud_echo_echo"]


@pytest.mark.parametrize("first", ["aaa", "zzz"])
async def test_the_holder_of_a_name_is_remembered_whatever_the_order(first: str, host: PluginHost) -> None:
    async with host.running():
        host.drop(first, component("echo"))
        await host.until(first, "loaded")
        host.drop("mmm", component("echo"))
        await host.until("mmm", "error", f'already offered by plugin "{first}"')
    for _ in range(3):
        async with host.running():
            assert host.at_start == {first: "loaded", "mmm": "error"}


async def test_a_name_comes_free_with_its_holder(host: PluginHost) -> None:
    async with host.running():
        holder = host.drop("echo")
        await host.until("echo", "loaded")
        host.drop("parrot", component("echo"))
        await host.until("parrot", "error", "already offered")
        holder.unlink()
        await host.until("parrot", "loaded")
        assert await host.output("echo", {"text": "mine now"}) == "mine now"
        host.drop("echo")
        await host.until("echo", "error", 'already offered by plugin "parrot"')


async def test_a_name_comes_free_when_a_new_version_does_without_it(host: PluginHost) -> None:
    async with host.running():
        host.drop("echo")
        await host.until("echo", "loaded")
        host.drop("parrot", component("echo"))
        await host.until("parrot", "error", "already offered")
        host.drop("echo", component("adder"))
        await host.until("parrot", "loaded")
        assert tools(host) == ["add", "echo"]


async def test_of_many_quick_replacements_the_last_one_counts(host: PluginHost) -> None:
    async with host.running():
        for number in range(30):
            host.drop("sum", component(("adder", "counter", "echo")[number % 3]))
            if number % 5 == 0:
                await eventually(lambda: "sum" in host.names())
        host.drop("sum", component("fallible"))
        await eventually(lambda: tools(host) == ["check", "divide", "verify"])
        host.drop("marker", component("echo"))
        await host.until("marker", "loaded")
        await eventually(lambda: not host.plugin("sum").loading)
        assert tools(host) == ["check", "divide", "echo", "verify"]


async def test_a_missing_directory_is_a_problem_with_a_way_out_and_heals(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It heals at the next look, which comes soon.
    monkeypatch.setattr("prx.plugins.watcher._POLL_SECS", 0.1)
    monkeypatch.setattr("prx.plugins.watcher._REWATCH_SECS", 0.1)
    host.directory.rmdir()
    async with host.running():
        [problem] = host.catalogue.problems()
        assert problem.unit == "plugins.catalogue"
        assert problem.reason == f"{host.directory} cannot be read: No such file or directory"
        assert "create the directory, or set plugins.directory" in problem.action
        host.directory.mkdir()
        host.drop("echo")
        await host.until("echo", "loaded")
        assert host.catalogue.problems() == []


async def test_a_directory_that_goes_away_for_a_while_keeps_its_plugins_serving(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It heals at the next look, which comes soon.
    monkeypatch.setattr("prx.plugins.watcher._POLL_SECS", 0.1)
    monkeypatch.setattr("prx.plugins.watcher._REWATCH_SECS", 0.1)
    host.drop("echo")
    async with host.running():
        await host.until("echo", "loaded")
        away = host.directory.with_name("away")
        host.directory.rename(away)
        await eventually(
            lambda: [problem.unit for problem in host.catalogue.problems()] == ["plugins.catalogue"]
        )
        assert await host.output("echo", {"text": "still"}) == "still"
        away.rename(host.directory)
        host.drop("adder")
        await host.until("adder", "loaded")
        assert host.catalogue.problems() == []


async def test_changes_are_noticed_in_a_directory_that_took_the_place_of_another(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only a notice tells of it.
    monkeypatch.setattr("prx.plugins.watcher._POLL_SECS", 3600.0)
    monkeypatch.setattr("prx.plugins.watcher._REWATCH_SECS", 0.1)
    async with host.running():
        host.directory.rename(host.directory.with_name("before"))
        host.directory.mkdir()
        # A look that was due already may find the first one; nothing but a notice tells of the second.
        for number, name in enumerate(("adder", "counter")):

            def again(name: str = name) -> bool:
                host.drop(name)
                return name in host.names()

            await eventually(again)
            assert len(host.names()) == number + 1


async def test_without_watching_files_change_only_with_a_restart_or_a_reload(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Looks would be many, were there any.
    monkeypatch.setattr("prx.plugins.watcher._POLL_SECS", 0.05)
    host.configure(watch=False)
    host.drop("sum", component("adder"))
    async with host.running():
        await host.until("sum", "loaded")
        host.drop("echo")
        host.drop("sum", component("counter"))
        await host.catalogue.reload("sum")
        assert tools(host) == ["next"]
        assert host.names() == ["sum"]
    async with host.running():
        await host.until("echo", "loaded")


async def test_strange_files_in_the_directory_stop_nobody(host: PluginHost) -> None:
    """Each of these is listed as an error; the pipes would block whoever opens them."""
    os.mkfifo(host.directory / "pipe.wasm")
    (host.directory / "dangling.wasm").symlink_to("nowhere")
    (host.directory / "Upper Case.wasm").write_bytes(component("echo"))
    (host.directory / os.fsdecode(b"not-utf-8-\xff.wasm")).write_bytes(component("echo"))
    for name in ("piped", "digits", "long"):
        (host.directory / name).mkdir()
    os.mkfifo(host.directory / "piped" / "plugin.toml")
    (host.directory / "digits" / "plugin.toml").write_text(f"x = {'9' * 5000}")
    (host.directory / "long" / "plugin.toml").write_text(manifest("long") + f'wasm = "{"a" * 300}/x.wasm"\n')
    strange = {"pipe", "dangling", "Upper Case", "not-utf-8-\\xff", "piped", "digits", "long"}
    async with host.running():
        host.drop("echo")
        await host.until("echo", "loaded")
        os.mkfifo(host.directory / "late.wasm")
        for name in (*strange, "late"):
            plugin = await host.until(name, "error", "")
            assert plugin.error
    assert set(host.at_start) == strange
