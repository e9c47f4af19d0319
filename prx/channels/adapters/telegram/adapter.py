"""Telegram's messages: a poll that waits, and methods to answer by."""

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from prx.channels.adapter import Adapter
from prx.channels.adapters.telegram.api import BotApi
from prx.channels.adapters.telegram.findings import find
from prx.channels.adapters.telegram.incoming import Me, incoming
from prx.channels.http import http_server
from prx.config.platforms.telegram import TelegramConfig
from prx.core.channel import Attachment, Capabilities, ChannelContext, Finding, OutgoingMessage
from prx.core.channel_errors import UndeliverableError
from prx.core.errors import UnavailableError
from prx.core.file import File

_POLL_SECS: Final = 6
# A poll that comes back late is one over a dead connection.
_LATE_SECS: Final = 4.0
# For longer Telegram keeps no message, and after a week without any it counts from somewhere else: an offset from
# before would confirm, and so lose, all that is below it.
_CURSOR_SECS: Final = 24 * 3600.0
_MAX_PHOTO_BYTES: Final = 10 << 20
_PHOTOS: Final = ("image/jpeg", "image/png", "image/webp")


class TelegramAdapter(Adapter):
    """See `ChannelAdapter`."""

    capabilities = Capabilities(
        max_length=4096,
        unit="utf16",
        markup="telegram",
        edits=True,
        typing_secs=4.0,
        threads=True,
        max_file_bytes=50 << 20,
        max_download_bytes=20 << 20,
        cadence_secs=_POLL_SECS,
        idle_limit_secs=2.0 * _POLL_SECS,
    )

    def __init__(self, name: str, config: TelegramConfig) -> None:
        """Be the bot of `config`, for the channel `name`."""
        token = config.bot_token.get_secret_value()
        self.account = f"telegram:{sha256(token.encode()).hexdigest()[:16]}"
        self._name = name
        self.server = http_server(config.base_url)
        self._config = config
        self._token = token
        self._api: BotApi | None = None

    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""
        async with BotApi(self._config.base_url, self._token) as api:
            user = await api.call("getMe")
            me = Me(user["id"], user["username"])
            # Whoever set one left it behind: while it is there, no poll is answered.
            await api.call("deleteWebhook")
            offset = await _first_offset(context, api)
            self._api = api
            context.connected()
            try:
                while True:
                    offset = await _poll(context, api, me, offset)
            finally:
                self._api = None

    async def probe(self) -> float:
        """See `ChannelAdapter.probe`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._connected().call("getMe")
        return loop.time() - began

    async def send(self, message: OutgoingMessage) -> str | None:
        """See `ChannelAdapter.send`."""
        api = self._connected()
        where = _where(message.conversation, message.thread) | _reply(message.reply_to)
        sent = await api.call("sendMessage", where | _text(message)) if message.text else None
        for file in message.files:
            await _send_file(api, where, file)
        return str(sent["message_id"]) if sent else None

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:
        """See `ChannelAdapter.edit`."""
        which = {"chat_id": message.conversation, "message_id": int(message_id)}
        try:
            await self._connected().call("editMessageText", which | _text(message))
        except UndeliverableError as error:
            if "message is not modified" not in error.message:
                raise

    async def typing(self, conversation: str, thread: str | None) -> None:
        """See `ChannelAdapter.typing`."""
        await self._connected().call("sendChatAction", _where(conversation, thread) | {"action": "typing"})

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        """See `ChannelAdapter.fetch`."""
        api = self._connected()
        file = await api.call("getFile", {"file_id": attachment.id})
        return await api.download(file["file_path"], max_bytes)

    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""
        async with BotApi(self._config.base_url, self._token) as api:
            return await find(api, self._name, self._config)

    def _connected(self) -> BotApi:
        if self._api is None:
            raise UnavailableError("it is not connected to Telegram")
        return self._api


async def _first_offset(context: ChannelContext, api: BotApi) -> int | None:
    """Return where to begin; None is with whatever waits."""
    if (cursor := await context.load_cursor(_CURSOR_SECS)) is not None:
        return int(cursor)
    if await context.load_cursor() is not None:
        return None
    # A new channel: what was said before is for nobody.
    last = await api.call("getUpdates", {"offset": -1, "timeout": 0})
    offset = last[-1]["update_id"] + 1 if last else 0
    await context.save_cursor(str(offset))
    return offset


async def _poll(context: ChannelContext, api: BotApi, me: Me, offset: int | None) -> int | None:
    """Wait for messages and hand them over; return the offset that confirms them."""
    asked = {"offset": offset, "timeout": _POLL_SECS, "allowed_updates": ["message"]}
    updates: list[dict[str, Any]] = await api.call("getUpdates", asked, within_secs=_POLL_SECS + _LATE_SECS)
    context.alive()
    if not updates:
        # All before is confirmed now. An offset that was kept for longer could lose what comes after a quiet week.
        return None
    for update in updates:
        message = incoming(update, me)
        if message is not None:
            await context.receive(message)
    offset = updates[-1]["update_id"] + 1
    await context.save_cursor(str(offset))
    return offset


def _where(conversation: str, thread: str | None) -> dict[str, Any]:
    return {"chat_id": conversation, "message_thread_id": None if thread is None else int(thread)}


def _reply(message_id: str | None) -> dict[str, Any]:
    if message_id is None:
        return {}
    return {"reply_parameters": {"message_id": int(message_id), "allow_sending_without_reply": True}}


def _text(message: OutgoingMessage) -> dict[str, Any]:
    return {
        "text": message.text if message.formatted is None else message.formatted,
        "parse_mode": None if message.formatted is None else "HTML",
        # Telegram's servers would fetch what a link leads to: a way out for whatever a model was made to write there.
        "link_preview_options": {"is_disabled": True},
    }


async def _send_file(api: BotApi, fields: dict[str, Any], file: File) -> None:
    if file.media_type in _PHOTOS and len(file.content) <= _MAX_PHOTO_BYTES:
        try:
            await api.upload("sendPhoto", fields, "photo", file)
        except UndeliverableError:
            pass  # too long or too narrow for a picture that is shown; as a file it may go
        else:
            return
    await api.upload("sendDocument", fields, "document", file)
