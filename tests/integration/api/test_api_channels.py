"""Channels over the API: what is listed, connecting anew, and health, with a platform on a real socket."""

from typing import Any

import pytest

from prx.channels.inbox_table import Address
from prx.channels.manager import Channels
from prx.channels.pairing import Pairings
from prx.config.channels import ChannelConfig
from prx.core.channel import IncomingMessage
from prx.core.ids import iso_utc
from tests.integration.api.api_harness import Api
from tests.support.agents import Bench
from tests.support.line_channel import TOKEN, LinePlatform
from tests.support.waiting import eventually

Configured = dict[str, ChannelConfig]


@pytest.fixture
async def four(channels: Channels, configured: Configured) -> Channels:
    """One channel that is connected, one with a wrong token, one without an adapter, one that is off."""
    configured |= {
        "good": ChannelConfig.model_validate({"type": "line", "token": TOKEN}),
        "bad": ChannelConfig.model_validate({"type": "line", "token": "wrong"}),
        "pigeon": ChannelConfig.model_validate({"bot_token": "x"}),
        "off": ChannelConfig(type="line", enabled=False),
    }
    await channels.reconfigured({})
    await eventually(lambda: not {"connecting", "reconnecting"} & {state.status for state in channels.list()})
    return channels


async def listed(api: Api) -> dict[str, dict[str, Any]]:
    rows = (await api.get("/api/v1/channels")).json()["channels"]
    return {row["name"]: row for row in rows}


async def test_without_channels_the_list_is_empty(api: Api) -> None:
    assert (await api.get("/api/v1/channels")).json() == {"channels": []}


async def test_every_configured_channel_is_listed_as_it_is(api: Api, four: Channels) -> None:
    good = four.get("good")
    assert good.connected_at is not None
    assert (await api.get("/api/v1/channels")).json() == {
        "channels": [
            {"name": "bad", "status": "disconnected", "error": "Invalid bot token"},
            {
                "name": "good",
                "status": "connected",
                "connected_at": iso_utc(good.connected_at),
                "active_sessions": 0,
            },
            {"name": "off", "status": "disabled"},
            {
                "name": "pigeon",
                "status": "disconnected",
                "error": 'this PRX has no adapter for channels of the type "pigeon", it has those for line: correct '
                "channels_config.pigeon.type, load the plugin that brings it, or set channels_config.pigeon.enabled "
                "to false",
            },
        ]
    }


async def test_a_connected_channel_counts_the_active_sessions_over_it(api: Api, four: Channels) -> None:
    assert four.get("good").status == "connected"
    for channel in ("good", "good", "bad", "api"):
        reply = await api.post("/api/v1/sessions", json={"channel": channel, "user_id": "u"})
        assert reply.status == 201
    rows = await listed(api)
    assert rows["good"]["active_sessions"] == 2
    assert "active_sessions" not in rows["bad"]


async def test_a_restart_is_answered_at_once_and_made_in_the_background(
    api: Api, four: Channels, platform: LinePlatform
) -> None:
    assert platform.logins == 2
    platform.answers.clear()
    for _ in range(3):
        reply = await api.post("/api/v1/channels/good/restart")
        assert (reply.status, reply.json()) == (200, {"name": "good", "status": "reconnecting"})
    assert (await listed(api))["good"] == {"name": "good", "status": "reconnecting"}
    platform.answers.set()
    await eventually(lambda: four.get("good").status == "connected")
    assert platform.logins == 3, "three requests while it connected were one restart"


async def test_a_channel_without_an_adapter_is_tried_again_and_says_the_same(
    api: Api, four: Channels
) -> None:
    before = (await listed(api))["pigeon"]
    reply = await api.post("/api/v1/channels/pigeon/restart")
    assert (reply.status, reply.json()) == (200, {"name": "pigeon", "status": "reconnecting"})
    await eventually(lambda: four.get("pigeon").status == "disconnected")
    assert (await listed(api))["pigeon"] == before


async def test_a_channel_that_is_off_is_not_restarted(api: Api, four: Channels) -> None:
    assert four.get("off").status == "disabled"
    reply = await api.post("/api/v1/channels/off/restart")
    assert (reply.status, reply.error["code"]) == (409, "conflict")
    assert reply.error["message"] == 'channel "off" is disabled: set channels_config.off.enabled to true'


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/v1/channels/none/restart"), ("GET", "/api/v1/channels/none/health")]
)
async def test_an_unknown_channel_is_not_found(api: Api, method: str, path: str) -> None:
    reply = await api.call(method, path)
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert 'Channel "none" not found' in reply.error["message"]


async def test_health_is_a_round_trip_made_now(api: Api, four: Channels, platform: LinePlatform) -> None:
    health = (await api.get("/api/v1/channels/good/health")).json()
    assert 0 <= health.pop("latency_ms") < 5000
    assert health == {"name": "good", "healthy": True}
    platform.drop_all()
    await eventually(lambda: four.get("good").status != "connected")
    reply = await api.get("/api/v1/channels/good/health")
    assert reply.status == 200
    assert reply.json() == {
        "name": "good",
        "healthy": False,
        "error": "the platform closed the connection",
    }


@pytest.mark.parametrize(
    ("name", "error"),
    [("bad", "Invalid bot token"), ("off", "it is disabled"), ("pigeon", "this PRX has no adapter")],
)
async def test_a_channel_that_is_not_connected_is_not_healthy(
    api: Api, four: Channels, name: str, error: str
) -> None:
    assert four.get(name).status != "connected"
    reply = await api.get(f"/api/v1/channels/{name}/health")
    assert reply.status == 200
    health = reply.json()
    assert health["error"].startswith(error)
    assert (health["name"], health["healthy"], "latency_ms" in health) == (name, False, False)


async def test_who_may_look_may_not_restart(api: Api, four: Channels) -> None:
    viewer, _ = api.tokens.create("viewer", role="viewer")
    assert len(four.list()) == 4
    assert (await api.get("/api/v1/channels", token=viewer)).status == 200
    assert (await api.get("/api/v1/channels/good/health", token=viewer)).status == 200
    refused = await api.post("/api/v1/channels/good/restart", token=viewer)
    assert (refused.status, refused.error["details"]) == (403, {"scope": "channels:write"})


@pytest.fixture
async def waiting(bench: Bench) -> str:
    """The code of somebody who asked to be let in over the channel `x`."""
    message = IncomingMessage(conversation="7", sender="42", sender_name="Ada", text="/pair")
    code = await Pairings(bench.store).ask("x", message, Address("7", None, None))
    assert code is not None
    return code


async def test_who_asked_to_be_let_in_is_listed_and_let_in_once(api: Api, waiting: str) -> None:
    (pairing,) = (await api.get("/api/v1/pairings")).json()["pairings"]
    assert {key: pairing[key] for key in ("code", "channel", "sender", "sender_name")} == {
        "code": waiting, "channel": "x", "sender": "42", "sender_name": "Ada",
    }  # fmt: skip
    reply = await api.call("POST", f"/api/v1/pairings/{waiting.lower()}")
    assert (reply.status, reply.json()) == (200, {"channel": "x", "sender": "42"})
    assert api.live.current.channels_config["x"].allowed_users == ("42",)
    assert (await api.get("/api/v1/pairings")).json() == {"pairings": []}
    reply = await api.call("POST", f"/api/v1/pairings/{waiting}")
    assert (reply.status, reply.error["code"]) == (404, "not_found")


async def test_where_a_variable_says_who_may_talk_nobody_is_let_in_without_effect(
    api: Api, waiting: str
) -> None:
    api.live.sources._environment = {"PRX__CHANNELS_CONFIG__X__ALLOWED_USERS": '["7"]'}
    reply = await api.call("POST", f"/api/v1/pairings/{waiting}")
    assert (reply.status, reply.error["code"]) == (409, "conflict")
    assert (
        "PRX__CHANNELS_CONFIG__X__ALLOWED_USERS sets channels_config.x.allowed_users"
        in reply.error["message"]
    )
    assert len((await api.get("/api/v1/pairings")).json()["pairings"]) == 1
