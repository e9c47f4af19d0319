"""What the daemon says about itself."""

import re
from pathlib import Path

from prx import __version__
from prx.api.deps import Figures
from prx.config.schema import Config
from prx.core.ids import now_utc
from prx.core.unit import Problem
from tests.integration.api.api_harness import Api


async def test_the_status_of_a_healthy_daemon_has_every_field_of_the_contract(api: Api) -> None:
    reply = await api.get("/api/v1/status")
    assert reply.status == 200
    status = reply.json()
    assert status.pop("uptime_secs") >= 0
    assert status.pop("loop_lag_ms") >= 0
    assert status.pop("memory_rss_bytes") > 10_000_000
    assert status == {
        "status": "healthy",
        "version": __version__,
        "active_sessions": 0,
        "channels": {"connected": 0, "total": 0},
        "plugins": {"loaded": 0, "total": 0},
        "memory": {"backend": "sqlite", "entries": 0},
        "provider": {"name": "builtin", "model": "builtin"},
        "problems": [],
        "config": {"version": 1, "restart_required": False},
    }


async def test_problems_make_it_degraded_and_say_what_to_do(api: Api) -> None:
    since = now_utc()
    problem = Problem("plugin.weather", "does not load", since, "rebuild it: docs/plugins.md")
    api.board.watch(lambda: [problem])
    status = (await api.get("/api/v1/status")).json()
    assert status["status"] == "degraded"
    [told] = status["problems"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("since"))
    assert told == {
        "unit": "plugin.weather",
        "reason": "does not load",
        "action": "rebuild it: docs/plugins.md",
    }
    assert (await api.get("/api/v1/status/health")).json() == {"healthy": True}, "degraded still serves"


async def test_figures_and_configuration_are_those_of_now(api: Api) -> None:
    await api.get("/api/v1/status")
    api.figures = Figures(channels_connected=3, memory_entries=1542, config_version=7, restart_required=True)
    api.config = Config.model_validate({"provider": {"name": "anthropic", "model": "some-model"}})
    status = (await api.get("/api/v1/status")).json()
    assert status["channels"]["connected"] == 3
    assert status["memory"] == {"backend": "sqlite", "entries": 1542}
    assert status["config"] == {"version": 7, "restart_required": True}
    assert status["provider"] == {"name": "anthropic", "model": "some-model"}


async def test_the_built_in_provider_has_no_other_model(api: Api) -> None:
    api.config = Config.model_validate({"provider": {"model": "some-model"}})
    status = (await api.get("/api/v1/status")).json()
    assert status["provider"] == {"name": "builtin", "model": "builtin"}


async def test_configured_channels_are_counted(api: Api) -> None:
    api.config = Config.model_validate({"channels_config": {"pigeon": {"bot_token": "x"}, "owl": {}}})
    assert (await api.get("/api/v1/status")).json()["channels"] == {"connected": 0, "total": 2}


async def test_resident_memory_is_measured(api: Api) -> None:
    measured = (await api.get("/api/v1/status")).json()["memory_rss_bytes"]
    assert abs(measured - resident_bytes()) < 32 * 1024 * 1024


def resident_bytes() -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
