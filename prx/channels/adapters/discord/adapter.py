"""Discord's messages: events of the gateway, what was missed read again, and answers over the REST API."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from typing import Any, Final

from prx.channels.adapter import Adapter
from prx.channels.adapters.discord.findings import find
from prx.channels.adapters.discord.gateway import CADENCE_SECS, LEAVE, RECONNECT, Gateway
from prx.channels.adapters.discord.incoming import incoming
from prx.channels.adapters.discord.progress import Progress, oldest_to_answer, place_of
from prx.channels.adapters.discord.rest import RestApi
from prx.channels.http import http_server
from prx.channels.upholding import beating, hold_in_turn
from prx.config.platforms.discord import DiscordConfig
from prx.core.channel import Attachment, Capabilities, ChannelContext, Finding, OutgoingMessage
from prx.core.channel_errors import ThrottledError, UndeliverableError
from prx.core.errors import UnavailableError

_NO_PREVIEWS: Final = 1 << 2
_PAGE: Final = 100
_LOGIN_SECS: Final = 30.0
_NONCE_LENGTH: Final = 25


class DiscordAdapter(Adapter):
    """See `ChannelAdapter`."""

    capabilities = Capabilities(
        max_length=2000,
        unit="utf16",
        markup="markdown",
        edits=True,
        typing_secs=8.0,
        max_file_bytes=10 << 20,
        max_download_bytes=25 << 20,
        cadence_secs=CADENCE_SECS,
        idle_limit_secs=2 * CADENCE_SECS,
    )

    def __init__(self, name: str, config: DiscordConfig) -> None:
        """Be the bot of `config`, for the channel `name`."""
        token = config.bot_token.get_secret_value()
        self.account = f"discord:{sha256(token.encode()).hexdigest()[:16]}"
        self._name = name
        self.server = http_server(config.base_url)
        self._config = config
        self._token = token
        self._rest: RestApi | None = None

    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""
        async with RestApi(self._config.base_url, self._token) as rest:
            me = (await rest.call("GET", "/users/@me"))["id"]
            progress = Progress.load(await context.load_cursor())
            try:
                await hold_in_turn(lambda: self._hold(context, rest, me, progress), "Discord")
            finally:
                self._rest = None

    async def _hold(self, context: ChannelContext, rest: RestApi, me: str, progress: Progress) -> None:
        """Hold one connection until Discord wants another one."""
        reads_all = self._config.message_content
        async with _gateway(context, rest, progress) as gateway:
            # Until there is a session nobody watches whether Discord says anything.
            async with asyncio.timeout(_LOGIN_SECS) as login:
                await gateway.greet(self._token, reads_all=reads_all)
                while True:
                    event = await gateway.next(context, self._token, reads_all=reads_all)
                    if event["op"] == RECONNECT:
                        return
                    if event.get("t") in ("READY", "RESUMED"):
                        login.reschedule(None)
                        self._rest = rest
                        context.connected()
                    if event.get("t") == "READY":
                        await _catch_up(context, rest, me, progress)
                        progress.begin(event["d"])
                        await context.save_cursor(progress.dump())
                    elif event.get("t") == "MESSAGE_CREATE":
                        await _hand_over(context, event["d"], me, progress)

    async def probe(self) -> float:
        """See `ChannelAdapter.probe`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._connected().call("GET", "/users/@me")
        return loop.time() - began

    async def send(self, message: OutgoingMessage) -> str | None:
        """See `ChannelAdapter.send`."""
        path = f"/channels/{message.conversation}/messages"
        body = _body(message)
        if message.key is not None:
            body |= {"nonce": _nonce(message.key), "enforce_nonce": True}
        if message.reply_to is not None:
            body["message_reference"] = {"message_id": message.reply_to, "fail_if_not_exists": False}
        rest = self._connected()
        if message.files:
            sent = await rest.upload(path, body, message.files)
        else:
            sent = await rest.call("POST", path, body)
        return str(sent["id"])

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:
        """See `ChannelAdapter.edit`."""
        path = f"/channels/{message.conversation}/messages/{message_id}"
        await self._connected().call("PATCH", path, _body(message))

    async def typing(self, conversation: str, thread: str | None) -> None:  # noqa: ARG002  # a thread is a channel
        """See `ChannelAdapter.typing`."""
        await self._connected().call("POST", f"/channels/{conversation}/typing")

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        """See `ChannelAdapter.fetch`."""
        return await self._connected().download(attachment.id, max_bytes)

    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""
        async with RestApi(self._config.base_url, self._token) as rest:
            return await find(rest, self._name, self._config)

    def _connected(self) -> RestApi:
        if self._rest is None:
            raise UnavailableError("it is not connected to Discord")
        return self._rest


@asynccontextmanager
async def _gateway(context: ChannelContext, rest: RestApi, progress: Progress) -> AsyncIterator[Gateway]:
    """Have a connection to the gateway for the length of the block, with its heartbeat."""
    async with AsyncExitStack() as stack:
        try:
            url = progress.url or await _gateway_url(rest)
            socket = await stack.enter_async_context(rest.gateway(url, LEAVE))
        except UnavailableError:
            # Where a session is resumed may be gone for good: the next life asks where to.
            progress.url = ""
            await context.save_cursor(progress.dump())
            raise
        gateway = Gateway(socket, progress)
        async with beating(gateway.beat, CADENCE_SECS):
            yield gateway


async def _gateway_url(rest: RestApi) -> str:
    told = await rest.call("GET", "/gateway/bot")
    limit = told["session_start_limit"]
    if limit["remaining"] < 1:
        # Discord resets the token of a bot that goes on.
        secs = limit["reset_after"] / 1000
        raise ThrottledError("this bot connected too often today", retry_after_secs=secs)
    return str(told["url"])


async def _hand_over(context: ChannelContext, told: dict[str, Any], me: str, progress: Progress) -> None:
    message = incoming(told, me)
    if message is None:
        return
    await context.receive(message)
    # What the bot has no part in is not looked for after an outage, and in a busy server not worth a write for each.
    place = place_of(told)
    if message.is_self or message.mentioned or not message.is_group or place in progress.marks:
        progress.marks.set(place, told["id"])
        await context.save_cursor(progress.dump())


async def _catch_up(context: ChannelContext, rest: RestApi, me: str, progress: Progress) -> None:
    """Read what was written in the bot's conversations since the last session, which no gateway tells of any more."""
    oldest = oldest_to_answer()
    for place, seen in progress.marks:
        guild, _, channel = place.partition("/")
        # Read like this, a message does not say of which guild it is, and would pass for a direct one.
        missing = {"guild_id": guild} if guild else {}
        after = max(int(seen), oldest)
        while True:
            path = f"/channels/{channel}/messages?after={after}&limit={_PAGE}"
            try:
                page = await rest.call("GET", path)
            except UndeliverableError:  # the channel is gone, or not for the bot any more
                progress.marks.forget(place)
                break
            context.alive()
            for told in reversed(page):
                await _hand_over(context, {**told, **missing}, me, progress)
                after = int(told["id"])
            if len(page) < _PAGE:
                break


def _nonce(key: str) -> str:
    """Return what Discord knows a message by that comes again within some minutes; it takes up to 25 characters."""
    return sha256(key.encode()).hexdigest()[:_NONCE_LENGTH]


def _body(message: OutgoingMessage) -> dict[str, Any]:
    return {
        "content": message.text if message.formatted is None else message.formatted,
        # Nothing that a model writes calls everybody.
        "allowed_mentions": {"parse": []},
        # For a preview Discord's servers would fetch whatever address a model was made to write.
        "flags": _NO_PREVIEWS,
    }
