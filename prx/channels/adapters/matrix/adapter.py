"""A user of a Matrix homeserver."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

from nio import (
    MatrixRoom,
    MegolmEvent,
    RoomGetEventResponse,
    RoomMessagesResponse,
    SyncError,
    SyncResponse,
)

from prx.channels.adapter import Adapter
from prx.channels.adapters.matrix.errors import accepted, translated
from prx.channels.adapters.matrix.events import Room, change_of, content_of, message_of
from prx.channels.adapters.matrix.invites import Invites
from prx.channels.adapters.matrix.keys import Client, decrypted, exchange_keys
from prx.channels.adapters.matrix.media import fetch, upload
from prx.channels.adapters.matrix.session import session
from prx.channels.http import http_server
from prx.config.platforms.matrix import MatrixConfig
from prx.core.channel import (
    Attachment,
    Capabilities,
    ChannelContext,
    Finding,
    IncomingMessage,
    OutgoingMessage,
)
from prx.core.errors import PermanentError, PrxError, UnavailableError
from prx.runtime.logging import get_logger

_POLL_SECS: Final = 6.0
_FIRST_SYNC_SECS: Final = 120.0
_TYPING_SECS: Final = 8.0
_TYPING_SHOWN_MS: Final = 12_000
_MAX_OWN: Final = 1000
_MAX_MISSED: Final = 1000
"""Of one room, where more was said than one answer holds."""
_PAGE: Final = 100
_FILTER: Final[dict[str, Any]] = {
    "presence": {"types": []},
    "room": {
        "ephemeral": {"types": []},
        "timeline": {"limit": _PAGE},
        "state": {"lazy_load_members": False},
    },
}
_FORGOTTEN: Final = frozenset({"M_UNKNOWN", "M_INVALID_PARAM", "M_UNKNOWN_POS"})

_log = get_logger("channel::matrix")


class MatrixAdapter(Adapter):
    """See `ChannelAdapter`. Its cursor is the homeserver's token for what was synced."""

    # An event has 64 KiB: a change holds the text four times, with markup, and encryption makes a third more of it.
    capabilities = Capabilities(
        max_length=8000,
        unit="bytes",
        markup="html",
        edits=True,
        typing_secs=_TYPING_SECS,
        threads=True,
        max_file_bytes=50 * 2**20,
        max_download_bytes=50 * 2**20,
        cadence_secs=_POLL_SECS,
        idle_limit_secs=2 * _POLL_SECS,
    )

    def __init__(self, config: MatrixConfig) -> None:
        """Open nothing yet."""
        secret = config.access_token or config.password
        whose = config.user or (
            "" if secret is None else sha256(secret.get_secret_value().encode()).hexdigest()
        )
        self.account = f"matrix:{whose}@{config.homeserver}"
        self.server = http_server(config.homeserver)
        self._config = config
        self._client: Client | None = None
        self._own: OrderedDict[str, None] = OrderedDict()
        """The newest events of the bot, by their ids."""
        self._typing: set[str] = set()
        self._invites = Invites(config.join_invites)

    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""
        directory = await context.directory()
        async with session(self._config, directory) as client:
            with translated(self._config.homeserver):
                response = await self._first_sync(client, context)
                self._client = client
                context.connected()
                try:
                    while True:
                        context.alive()
                        await exchange_keys(client)
                        response = accepted(
                            await client.sync(int(_POLL_SECS * 1000), _FILTER, since=response.next_batch)
                        )
                        await self._take(response, client, context)
                        await _keep(response, client, context)
                finally:
                    self._client = None

    async def probe(self) -> float:
        """See `ChannelAdapter.probe`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with translated(self._config.homeserver):
            accepted(await self._connected().whoami())
        return loop.time() - began

    async def send(self, message: OutgoingMessage) -> str | None:
        """See `ChannelAdapter.send`."""
        client = self._connected()
        with translated(self._config.homeserver):
            if message.conversation in self._typing:
                self._typing.discard(message.conversation)
                await client.room_typing(message.conversation, typing_state=False)
            sent = None
            if message.text:
                content = content_of(message, message.text)
                sent = await self._put(client, message.conversation, content, message.key)
            for number, file in enumerate(message.files):
                room = client.rooms.get(message.conversation)
                about = await upload(client, file, encrypted=room is not None and room.encrypted)
                content = content_of(replace(message, formatted=None), file.name) | about
                key = None if message.key is None else f"{message.key}-file{number}"
                await self._put(client, message.conversation, content, key)
        return sent

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:
        """See `ChannelAdapter.edit`."""
        with translated(self._config.homeserver):
            await self._put(self._connected(), message.conversation, change_of(message_id, message))

    async def typing(self, conversation: str, thread: str | None) -> None:  # noqa: ARG002  # threads have no typing
        """See `ChannelAdapter.typing`."""
        with translated(self._config.homeserver):
            accepted(await self._connected().room_typing(conversation, timeout=_TYPING_SHOWN_MS))
            self._typing.add(conversation)

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        """See `ChannelAdapter.fetch`."""
        with translated(self._config.homeserver):
            return await fetch(self._connected(), attachment, max_bytes)

    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""
        try:
            async with session(self._config, None) as client:
                findings = [Finding(f"{self._config.homeserver} knows the bot as {client.user_id}")]
        except PermanentError as error:
            return [Finding(error.message, "set what it names right, then run this again")]
        except PrxError as error:
            return [
                Finding(
                    error.message,
                    f"make sure that {self._config.homeserver} is the homeserver, and that it runs",
                )
            ]
        if self._config.join_invites == "none":
            findings.append(Finding("It accepts no invites: it is in the rooms that its account is in"))
        return findings

    def _connected(self) -> Client:
        if self._client is None:
            raise UnavailableError("it is not connected")
        return self._client

    async def _first_sync(self, client: Client, context: ChannelContext) -> SyncResponse:
        """Learn of all rooms, and hand over what was said since the last life; at the first one nothing."""
        since = _since(client, await context.load_cursor())
        async with asyncio.timeout(_FIRST_SYNC_SECS):
            response = await client.sync(0, _FILTER, since=since, full_state=True)
            if isinstance(response, SyncError) and since is not None and response.status_code in _FORGOTTEN:
                _log.warning(
                    "the homeserver does not know any more where to go on; what was said meanwhile is lost",
                    reason=response.message,
                )
                since = None
                response = await client.sync(0, _FILTER, full_state=True)
        response = accepted(response)
        await exchange_keys(client)
        if since is None:
            await self._invites.answer(response, client, context)
        else:
            await self._take(response, client, context, since=since)
        await _keep(response, client, context)
        return response

    async def _take(
        self, response: SyncResponse, client: Client, context: ChannelContext, since: str | None = None
    ) -> None:
        await self._invites.answer(response, client, context)
        for room_id, info in response.rooms.join.items():
            events = info.timeline.events
            if info.timeline.limited and since is not None:
                events = [*await self._missed(client, room_id, info.timeline.prev_batch, since), *events]
            for event in events:
                if (message := await self._message(event, client.rooms[room_id], client)) is not None:
                    await context.receive(message)

    async def _missed(self, client: Client, room_id: str, before: str, since: str) -> list[Any]:
        """Return what was said in a room after `since` and `before` what a sync has of it."""
        found: list[Any] = []
        while before and len(found) < _MAX_MISSED:
            page = accepted(await client.room_messages(room_id, before, end=since, limit=_PAGE))
            if not isinstance(page, RoomMessagesResponse) or not page.chunk:
                break
            found += page.chunk
            before = page.end or ""
        found.reverse()
        return [decrypted(event, client) for event in found]

    async def _message(self, event: Any, room: MatrixRoom, client: Client) -> IncomingMessage | None:
        if event.sender == client.user_id:
            return None
        if isinstance(event, MegolmEvent):
            _log.warning(
                "a message cannot be decrypted: its sender's app gave the bot no key for it",
                room=room.room_id,
                sender=event.sender,
            )
            return None
        source: Mapping[str, Any] = event.source
        about = Room(
            id=room.room_id,
            is_group=room.member_count > 2,  # noqa: PLR2004  # the bot and somebody else
            me=client.user_id,
            my_name=room.user_name(client.user_id) or client.user_id,
            sender_name=room.user_name(event.sender) or event.sender,
        )
        message = message_of(source, about)
        if message is None or message.mentioned or not message.is_group or message.reply_to is None:
            return message
        is_mine = await self._is_mine(client, room.room_id, message.reply_to)
        return replace(message, mentioned=is_mine)

    async def _is_mine(self, client: Client, room_id: str, event_id: str) -> bool:
        if event_id in self._own:
            return True
        answer = await client.room_get_event(room_id, event_id)
        return isinstance(answer, RoomGetEventResponse) and answer.event.sender == client.user_id

    async def _put(
        self, client: Client, room_id: str, content: dict[str, Any], key: str | None = None
    ) -> str:
        """Say something; what comes again under the same key the homeserver answers as it did the first time."""
        sent = accepted(
            await client.room_send(
                room_id, "m.room.message", content, tx_id=key, ignore_unverified_devices=True
            )
        )
        event_id = str(sent.event_id)
        self._own[event_id] = None
        while len(self._own) > _MAX_OWN:
            self._own.popitem(last=False)
        return event_id


async def _keep(response: SyncResponse, client: Client, context: ChannelContext) -> None:
    """Go on behind a response in the next life; the homeserver forgets then which keys came with it."""
    await client.settle()
    await context.save_cursor(json.dumps({"user": client.user_id, "since": response.next_batch}))


def _since(client: Client, cursor: str | None) -> str | None:
    kept = json.loads(cursor) if cursor is not None else {}
    return kept["since"] if kept.get("user") == client.user_id else None
