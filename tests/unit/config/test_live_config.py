"""The running configuration: what is hot changes, what is not waits, what is wrong changes nothing."""

import asyncio
from pathlib import Path

import pytest

from prx.config.layers import setting
from prx.config.live import Change, LiveConfig, effective_config
from prx.config.schema import Config
from prx.config.sources import Sources
from prx.core.errors import BadRequestError, ConfigError, ConflictError, PreconditionFailedError
from tests.support.waiting import eventually


class Running:
    """A running configuration and the file that an operator edits."""

    def __init__(self, home: Path) -> None:
        self.file = home / "prx.toml"
        self.data_dir = home / "data"
        self.edit("")
        environment = {"PRX__DAEMON__DATA_DIR": str(self.data_dir), "PRX__AGENT__MAX_TURNS": "9"}
        self.live = LiveConfig(Sources(self.file, [setting("--port", "gateway.port", 1)], environment))
        self.changes: list[Change] = []
        self.live.listen(self._changed)

    def edit(self, text: str) -> None:
        self.file.write_text(text)

    async def _changed(self, change: Change) -> None:
        self.changes.append(change)


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


async def test_a_hot_key_takes_effect_and_listeners_are_told_what_changed(running: Running) -> None:
    running.edit("[memory]\ntop_k = 7\n")
    change = await running.live.reload()
    assert running.live.current.memory.top_k == 7
    assert (running.live.version, running.live.restart_required) == (2, ())
    assert running.changes == [change]
    assert change is not None
    assert (change.old.memory.top_k, change.new.memory.top_k, change.keys) == (10, 7, ("memory.top_k",))


async def test_a_restart_only_key_keeps_its_value_and_is_listed(running: Running) -> None:
    running.edit("[gateway]\nhost = '::1'\nallowed_hosts = ['a']\n[memory]\ntop_k = 3\n")
    assert await running.live.reload()
    assert running.live.current.gateway.host == "127.0.0.1"
    assert running.live.current.gateway.allowed_hosts == ("a",)
    assert running.live.restart_required == ("gateway.host",)
    assert running.changes[0].keys == ("gateway.allowed_hosts", "memory.top_k")
    running.edit("[memory]\ntop_k = 3\n")
    await running.live.reload()
    assert running.live.restart_required == ()


async def test_an_unchanged_configuration_is_no_new_version(running: Running) -> None:
    running.edit("# only a comment\n")
    assert await running.live.reload() is None
    assert running.live.version == 1
    assert running.changes == []


async def test_a_limit_that_is_set_to_its_default_is_a_change(running: Running) -> None:
    """It wins over what the plugin's manifest asks for, which the default does not."""
    running.edit("[plugins.settings.weather.limits]\n")
    await running.live.reload()
    running.edit("[plugins.settings.weather.limits]\nmax_memory_mb = 64\n")
    change = await running.live.reload()
    assert change is not None
    assert "plugins.settings.weather.limits.max_memory_mb" in change.keys


async def test_a_wrong_configuration_leaves_the_old_one_and_says_so_until_it_is_right(
    running: Running,
) -> None:
    before = running.live.current
    refused: list[ConfigError] = []
    running.live.listen_to_refusals(refused.append)
    running.edit("\n\n[gateway]\nport = 'no'\nmax_body_kb = 0\n")
    with pytest.raises(ConfigError) as caught:
        await running.live.reload()
    assert running.live.current is before
    assert refused == [caught.value]
    (problem,) = running.live.problems()
    assert f"{running.file}:5: gateway.max_body_kb: expected integer, at least 1" in problem.reason
    running.edit("")
    await running.live.reload()
    assert running.live.problems() == []


async def test_a_file_that_is_gone_is_a_bad_edit_and_not_a_return_to_the_defaults(running: Running) -> None:
    running.edit("[memory]\ntop_k = 7\n")
    await running.live.reload()
    running.file.unlink()
    with pytest.raises(ConfigError, match=r"there is no file .*prx\.toml"):
        await running.live.reload()
    assert running.live.current.memory.top_k == 7


async def test_a_found_file_that_is_gone_is_a_bad_edit_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    file = tmp_path / "prx.toml"
    file.write_text("[memory]\ntop_k = 7\n")
    live = LiveConfig(Sources(None, (), {"PRX__DAEMON__DATA_DIR": str(tmp_path)}))
    file.unlink()
    with pytest.raises(ConfigError, match=r"prx\.toml is gone: put it back, or restart"):
        await live.reload()
    assert live.current.memory.top_k == 7


async def test_a_patch_takes_effect_and_lasts_and_the_operators_file_stays_as_it_is(running: Running) -> None:
    running.edit("# mine\n[memory]\ntop_k = 7\n")
    outcome, _ = await running.live.patch({"memory.top_k": 8, "gateway.host": "::1"})
    assert outcome.updated == ["memory.top_k", "gateway.host"]
    assert outcome.results == {"memory.top_k": "applied", "gateway.host": "restart_required"}
    assert outcome.reload_required
    assert running.live.current.memory.top_k == 8
    assert running.live.restart_required == ("gateway.host",)
    assert running.file.read_text() == "# mine\n[memory]\ntop_k = 7\n"
    again = LiveConfig(running.live.sources)
    assert (again.current.memory.top_k, again.current.gateway.host) == (8, "::1")


async def test_a_patch_that_a_later_layer_hides_is_written_and_reported(running: Running) -> None:
    outcome, _ = await running.live.patch({"agent.max_turns": 5, "gateway.port": 2, "memory.top_k": 3})
    assert outcome.results == {
        "agent.max_turns": "hidden",
        "gateway.port": "hidden",
        "memory.top_k": "applied",
    }
    assert outcome.hidden == {"agent.max_turns": "PRX__AGENT__MAX_TURNS", "gateway.port": "--port"}
    assert running.live.current.agent.max_turns == 9


async def test_an_edit_that_a_later_layer_hides_is_reported(running: Running) -> None:
    await running.live.patch({"memory.top_k": 8})
    running.edit("[memory]\ntop_k = 7\n[agent]\nmax_turns = 2\n")
    change = await running.live.reload()
    assert change is not None
    assert change.keys == ()
    overlay = str(running.data_dir / "overlay.toml")
    assert change.hidden == {"memory.top_k": overlay, "agent.max_turns": "PRX__AGENT__MAX_TURNS"}


async def test_a_table_that_lost_its_last_key_sets_nothing_that_a_later_layer_could_hide(
    running: Running,
) -> None:
    running.edit("[provider]\nmodel = 'other'\n")
    await running.live.reload()
    await running.live.patch({"provider.temperature": 0.5})
    running.edit("[provider]\n")
    change = await running.live.reload()
    assert change is not None
    assert change.keys == ("provider.model",)
    assert change.hidden == {}


async def test_a_patch_for_another_configuration_than_the_current_one_is_refused(running: Running) -> None:
    read = running.live.etag
    await running.live.patch({"memory.top_k": 8}, if_match=[read])
    with pytest.raises(PreconditionFailedError):
        await running.live.patch({"memory.top_k": 9}, if_match=[read])
    assert running.live.current.memory.top_k == 8
    await running.live.patch({"memory.top_k": 9}, if_match=[read, running.live.etag])
    await running.live.patch({"memory.top_k": 10}, if_match=["*"])


async def test_an_edit_that_was_not_noticed_yet_counts_as_drift(running: Running) -> None:
    read = running.live.etag
    running.edit("[provider]\napi_key = 'another'\n")
    with pytest.raises(PreconditionFailedError):
        await running.live.patch({"memory.top_k": 8}, if_match=[read])


async def test_of_two_patches_for_the_same_configuration_only_one_is_made(running: Running) -> None:
    read = [running.live.etag]
    answers = await asyncio.gather(
        *(running.live.patch({"memory.top_k": n}, if_match=read) for n in (1, 2, 3)), return_exceptions=True
    )
    assert sum(isinstance(answer, PreconditionFailedError) for answer in answers) == 2


async def test_a_patch_is_made_to_its_end_when_its_caller_goes_away(running: Running) -> None:
    released = asyncio.Event()

    async def slow(_: Change) -> None:
        await released.wait()

    running.live.listen(slow)
    running.live.listen(running._changed)
    caller = asyncio.ensure_future(running.live.patch({"memory.top_k": 8}))
    await eventually(lambda: running.changes)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    released.set()
    await running.live.aclose()
    assert len(running.changes) == 2


async def test_a_patch_is_refused_while_a_file_is_wrong_unless_it_puts_that_right(running: Running) -> None:
    running.edit("[memory]\ntop_k = 'many'\n")
    with pytest.raises(ConflictError, match=r"prx\.toml:2: memory\.top_k: expected integer"):
        await running.live.patch({"agent.max_turns": 5})
    await running.live.patch({"memory.top_k": 5})
    assert running.live.current.memory.top_k == 5
    assert running.live.problems() == []
    running.edit("[memory\n")
    with pytest.raises(ConflictError, match="not valid TOML"):
        await running.live.patch({"memory.top_k": 6})


async def test_a_refused_patch_changes_nothing_at_all(running: Running) -> None:
    etag = running.live.etag
    with pytest.raises(BadRequestError):
        await running.live.patch({"memory.top_k": 8, "memory.top_j": 8})
    assert running.live.etag == etag
    assert not (running.data_dir / "overlay.toml").exists()


def test_a_channel_or_server_that_comes_or_goes_is_hot() -> None:
    loaded = Config.model_validate(
        {"channels_config": {"a": {}}, "mcp": {"servers": {"b": {"command": "c"}}}}
    )
    effective, waiting = effective_config(Config(), loaded)
    assert effective == loaded
    assert waiting == ()
