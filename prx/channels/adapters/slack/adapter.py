"""Slack's messages: envelopes over Socket Mode, and answers over the Web API."""

import asyncio
import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from aiohttp import ClientWebSocketResponse, WSMsgType

from prx.channels.adapter import Adapter
from prx.channels.adapters.slack.api import ANSWER_SECS, WebApi
from prx.channels.adapters.slack.findings import find
from prx.channels.adapters.slack.reading import Reading
from prx.channels.adapters.slack.text import escaped
from prx.channels.http import http_server
from prx.channels.upholding import beating, hold_in_turn, object_of
from prx.config.platforms.slack import SlackConfig
from prx.core.channel import Attachment, Capabilities, ChannelContext, Finding, OutgoingMessage
from prx.core.channel_errors import UndeliverableError
from prx.core.errors import PermanentError, UnavailableError

_CADENCE_SECS: Final = 6.0
_NO_SOCKETS: Final = (
    "Slack allows no Socket Mode for this app: switch it on at https://api.slack.com/apps (Socket Mode), and give the "
    "app's token the scope connections:write"
)


class SlackAdapter(Adapter):
    """See `ChannelAdapter`."""

    capabilities = Capabilities(
        # An edit may have 4000, with the characters that the markup and the escapes add.
        max_length=3500,
        max_formatted_length=4000,
        markup="mrkdwn",
        edits=True,
        threads=True,
        max_file_bytes=50 << 20,
        max_download_bytes=25 << 20,
        cadence_secs=_CADENCE_SECS,
        idle_limit_secs=2 * _CADENCE_SECS,
    )

    def __init__(self, name: str, config: SlackConfig) -> None:
        """Be the bot of `config`, for the channel `name`."""
        token = config.bot_token.get_secret_value()
        self.account = f"slack:{sha256(token.encode()).hexdigest()[:16]}"
        self._name = name
        self.server = http_server(config.base_url)
        self._config = config
        self._api: WebApi | None = None

    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""
        async with self._web_api() as api:
            me = (await api.call("auth.test"))["user_id"]
            cursor = await context.load_cursor()
            reading = Reading(context, me, cursor, reply_in_threads=self._config.reply_in_threads)
            try:
                await hold_in_turn(lambda: self._hold(context, api, reading), "Slack")
            finally:
                self._api = None

    async def _hold(self, context: ChannelContext, api: WebApi, reading: Reading) -> None:
        """Hold one connection until Slack wants another one."""
        try:
            url = await api.socket_url()
        except UndeliverableError as error:
            raise PermanentError(_NO_SOCKETS) from error
        async with api.socket(url) as socket, beating(socket.ping, _CADENCE_SECS):
            # Until it greets nobody watches whether Slack says anything.
            async with asyncio.timeout(ANSWER_SECS) as greeting:
                while True:
                    said = await _heard(context, socket)
                    match said.get("type"):
                        case "hello":
                            greeting.reschedule(None)
                            is_first, self._api = self._api is None, api
                            context.connected()
                            if is_first:
                                await reading.catch_up(api)
                        case "disconnect" if said.get("reason") == "link_disabled":
                            raise PermanentError(_NO_SOCKETS)
                        case "disconnect":
                            return
                        case kind:
                            if kind == "events_api":
                                await reading.hand_over(said.get("payload", {}).get("event", {}))
                            # Without it Slack sends it again: it is on disk now, or no message.
                            await socket.send_str(json.dumps({"envelope_id": said.get("envelope_id")}))

    async def probe(self) -> float:
        """See `ChannelAdapter.probe`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._connected().call("auth.test")
        return loop.time() - began

    async def send(self, message: OutgoingMessage) -> str | None:
        """See `ChannelAdapter.send`."""
        api = self._connected()
        where = {"thread_ts": message.thread}
        # All files first: one that cannot be uploaded leaves no text behind that would be said again.
        held = [{"id": await api.upload(file), "title": file.name} for file in message.files]
        sent = None
        if message.text:
            sent = await api.call("chat.postMessage", _body(message) | where)
        if held:
            share = {"files": held, "channel_id": message.conversation}
            await api.call("files.completeUploadExternal", share | where)
        return str(sent["ts"]) if sent else None

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:
        """See `ChannelAdapter.edit`."""
        await self._connected().call("chat.update", _body(message) | {"ts": message_id})

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        """See `ChannelAdapter.fetch`."""
        return await self._connected().download(attachment.id, max_bytes)

    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""
        async with self._web_api() as api:
            return await find(api, self._name, self._config)

    def _web_api(self) -> WebApi:
        config = self._config
        return WebApi(
            config.base_url, config.bot_token.get_secret_value(), config.app_token.get_secret_value()
        )

    def _connected(self) -> WebApi:
        if self._api is None:
            raise UnavailableError("it is not connected to Slack")
        return self._api


async def _heard(context: ChannelContext, socket: ClientWebSocketResponse) -> dict[str, Any]:
    """Return what Slack says next."""
    while True:
        message = await socket.receive()
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            raise UnavailableError(f"Slack closed the connection ({socket.close_code or 'without a code'})")
        context.alive()
        if message.type == WSMsgType.TEXT:
            return object_of(message.data, "Slack")
        if message.type == WSMsgType.PING:
            await socket.pong(message.data)


def _body(message: OutgoingMessage) -> dict[str, Any]:
    is_plain = message.formatted is None
    return {
        "channel": message.conversation,
        "text": escaped(message.text) if message.formatted is None else message.formatted,
        "mrkdwn": not is_plain,
        # For a preview Slack's servers would fetch whatever address a model was made to write.
        "unfurl_links": False,
        "unfurl_media": False,
    }
