"""The running configuration: what is hot changes, what is not waits, what is wrong changes nothing."""

import pytest

from prx.config.live import LiveConfig, effective_config
from prx.config.schema import Config
from prx.core.errors import ConfigError


class Files:
    """Stands where the operator edits: the next load returns or raises what was put here."""

    def __init__(self) -> None:
        self.tree: dict[str, dict[str, object]] = {}
        self.fault: ConfigError | None = None

    def load(self) -> Config:
        if self.fault is not None:
            raise self.fault
        return Config.model_validate(self.tree)


async def test_a_hot_key_takes_effect() -> None:
    files = Files()
    live = LiveConfig(files.load)
    files.tree = {"agent": {"max_turns": 7}}
    assert await live.reload()
    assert live.current.agent.max_turns == 7
    assert (live.version, live.restart_required) == (2, ())


async def test_a_restart_only_key_keeps_its_value_and_is_listed() -> None:
    files = Files()
    live = LiveConfig(files.load)
    files.tree = {"gateway": {"port": 1, "allowed_hosts": ["a"]}, "memory": {"top_k": 3}}
    assert await live.reload()
    assert live.current.gateway.port == 3120
    assert live.current.gateway.allowed_hosts == ("a",)
    assert live.restart_required == ("gateway.port",)
    files.tree = {"memory": {"top_k": 3}}
    await live.reload()
    assert live.restart_required == ()


async def test_an_unchanged_configuration_is_no_new_version() -> None:
    live = LiveConfig(Files().load)
    assert not await live.reload()
    assert live.version == 1


async def test_a_wrong_configuration_leaves_the_old_one_and_says_so_until_it_is_right() -> None:
    files = Files()
    live = LiveConfig(files.load)
    before = live.current
    files.fault = ConfigError("prx.toml:3: gateway.port: no")
    with pytest.raises(ConfigError):
        await live.reload()
    assert live.current is before
    (problem,) = live.problems()
    assert "prx.toml:3: gateway.port: no" in problem.reason
    files.fault = None
    await live.reload()
    assert live.problems() == []


def test_a_channel_or_server_that_comes_or_goes_is_hot() -> None:
    loaded = Config.model_validate(
        {"channels_config": {"a": {}}, "mcp": {"servers": {"b": {"command": "c"}}}}
    )
    effective, waiting = effective_config(Config(), loaded)
    assert effective == loaded
    assert waiting == ()
