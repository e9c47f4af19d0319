"""Channels: connections to chat platforms, how they are, and connecting them anew."""

from collections.abc import Mapping

from aiohttp import web

from prx.api.answers.channels import (
    ChannelHealthAnswer,
    ChannelList,
    ChannelRestarted,
    ChannelRow,
    Paired,
    PairingList,
    ShownPairing,
)
from prx.api.bodies import reply
from prx.api.deps import ADMISSION, CHANNELS, SESSIONS
from prx.api.routes import Routes
from prx.channels.manager import ChannelHealth, ChannelState
from prx.channels.pairing import VALID_FOR, Pairing
from prx.core.ids import iso_utc

routes = Routes()


@routes.get("/channels", scope="channels:read", answer=ChannelList)
async def list_channels(request: web.Request) -> web.Response:
    """Every configured channel, by name."""
    app = request.app
    active = app[SESSIONS].active_by_channel()
    return reply({"channels": [_row(state, active) for state in app[CHANNELS].list()]})


@routes.post("/channels/{name}/restart", scope="channels:write", answer=ChannelRestarted, refuses=(404, 409))
async def restart_channel(request: web.Request) -> web.Response:
    """Begin to connect a channel anew; what comes of it is told by the list."""
    name = request.match_info["name"]
    request.app[CHANNELS].restart(name)
    return reply({"name": name, "status": "reconnecting"})


@routes.get("/channels/{name}/health", scope="channels:read", answer=ChannelHealthAnswer, refuses=(404, 503))
async def get_channel_health(request: web.Request) -> web.Response:
    """Whether a round trip to a channel's platform succeeds now."""
    return reply(_health(await request.app[CHANNELS].health(request.match_info["name"])))


@routes.get("/pairings", scope="channels:read", answer=PairingList, refuses=(503,))
async def list_pairings(request: web.Request) -> web.Response:
    """Who sent `/pair` over a channel and waits to be let in."""
    found: PairingList = {"pairings": [_pairing(each) for each in await request.app[ADMISSION].list()]}
    return reply(found)


@routes.post("/pairings/{code}", scope="channels:write", answer=Paired, refuses=(404, 409, 503))
async def approve_pairing(request: web.Request) -> web.Response:
    """Let somebody in: their id is added to the channel's `allowed_users`."""
    pairing = await request.app[ADMISSION].approve(request.match_info["code"])
    done: Paired = {"channel": pairing.channel, "sender": pairing.sender}
    return reply(done)


def _pairing(pairing: Pairing) -> ShownPairing:
    return {
        "code": pairing.code,
        "channel": pairing.channel,
        "sender": pairing.sender,
        "sender_name": pairing.sender_name,
        "asked_at": iso_utc(pairing.asked_at),
        "expires_at": iso_utc(pairing.asked_at + VALID_FOR),
    }


def _row(state: ChannelState, active: Mapping[str, int]) -> ChannelRow:
    row: ChannelRow = {"name": state.name, "status": state.status}
    if state.connected_at is not None:
        row["connected_at"] = iso_utc(state.connected_at)
        row["active_sessions"] = active.get(state.name, 0)
    if state.error is not None:
        row["error"] = state.error
    return row


def _health(health: ChannelHealth) -> ChannelHealthAnswer:
    shown: ChannelHealthAnswer = {"name": health.name, "healthy": health.healthy}
    if health.latency_secs is not None:
        shown["latency_ms"] = round(health.latency_secs * 1000)
    if health.last_message_at is not None:
        shown["last_message_at"] = iso_utc(health.last_message_at)
    if health.error is not None:
        shown["error"] = health.error
    return shown
