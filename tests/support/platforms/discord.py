"""Discord for one bot: the REST API as far as chat bots use it. The gateway is beside it."""

import json
import time
from typing import Any, Final

from aiohttp import web

from tests.support.platforms.discord_gateway import Gateway
from tests.support.platforms.server import Json, PlatformServer, answer, fields_of

TOKEN: Final = "OTAwMA.emulated.token-of-a-bot"  # noqa: S105  # of nothing that exists
BOT_ID: Final = "9000"
GUILD: Final = "100"
CHANNEL: Final = "200"
"""A text channel of the guild."""
DM: Final = "300"
"""The channel of direct messages with the user 111."""
MAX_CONTENT: Final = 2000
MAX_UPLOAD: Final = 10 << 20
MAX_NONCE: Final = 25
MESSAGE_CONTENT: Final = 1 << 15
"""The privileged intent that a bot reads the texts of others by."""


class Refusal(Exception):  # noqa: N818  # it is an answer
    """What a request is answered instead of a result."""

    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, "code": code, **more}


class DiscordServer(PlatformServer):
    """Discord. Tests write as users with `say`, and read what the bot sent in `sent`."""

    def __init__(self) -> None:
        super().__init__()
        self.token = TOKEN
        self.bot = self.user(BOT_ID, "prx", bot=True)
        self.privileged = MESSAGE_CONTENT
        """The privileged intents that the developer portal allows the bot."""
        self.gateway = Gateway(self)
        self.sent: list[Json] = []
        """Each message of the bot as it is now; `asked` is what the bot asked for, `files` what it attached."""
        self.typed: list[str] = []
        self.forbidden: set[str] = set()
        """Channels that the bot may not write to."""
        self.logins_left = 1000
        self.permissions = (1 << 53) - 1
        self.is_invited = True
        self.history: list[Json] = []
        self.files: dict[str, bytes] = {}
        self._next_id = (int(time.time() * 1000) - 1_420_070_400_000) << 22
        self._channels = {
            CHANNEL: {"id": CHANNEL, "type": 0, "guild_id": GUILD, "name": "general", "position": 0},
            DM: {"id": DM, "type": 1, "recipients": [self.user("111", "ada")], "last_message_id": None},
        }

    # What tests do

    def user(self, ident: str, name: str, *, bot: bool = False) -> Json:
        """Return a user as Discord tells of one."""
        return {
            "id": ident,
            "username": name,
            "discriminator": "0",
            "global_name": name.title(),
            "avatar": None,
            "bot": bot,
            "public_flags": 0,
        }

    def say(self, content: str, *, channel: str = DM, author: Json | None = None, **fields: Any) -> Json:
        """Have a user write a message; `fields` are more of its fields."""
        message = self._message(channel, author or self.user("111", "ada"), content, **fields)
        self.gateway.dispatch("MESSAGE_CREATE", message)
        return message

    def attachment(self, name: str, content: bytes, media_type: str) -> Json:
        """Have a file to attach to a message."""
        ident = self._number()
        self.files[ident] = content
        url = f"{self.url}/attachments/{ident}/{name}"
        return {
            "id": ident,
            "filename": name,
            "size": len(content),
            "content_type": media_type,
            "url": url,
            "proxy_url": url,
        }

    def remove_channel(self, channel: str) -> None:
        """Have a channel be gone."""
        del self._channels[channel]

    @property
    def text_channel(self) -> Json:
        """The guild's only channel."""
        return self._channels[CHANNEL]

    @property
    def texts(self) -> list[str]:
        """The text of each message of the bot."""
        return [message["content"] for message in self.sent]

    # What clients do

    def route(self, router: web.UrlDispatcher) -> None:
        router.add_get("/gateway", self.gateway.serve)
        router.add_get("/attachments/{id}/{name}", self._download)
        for method, path, handler in (
            ("GET", "/users/@me", self._me),
            ("GET", "/oauth2/applications/@me", self._application),
            ("GET", "/applications/@me", self._application),
            ("GET", "/users/@me/guilds", self._guilds),
            ("GET", "/gateway/bot", self._gateway_bot),
            ("POST", "/users/@me/channels", self._open_dm),
            ("GET", "/channels/{channel}", self._channel),
            ("GET", "/channels/{channel}/messages", self._read),
            ("POST", "/channels/{channel}/messages", self._send),
            ("PATCH", "/channels/{channel}/messages/{message}", self._edit),
            ("POST", "/channels/{channel}/typing", self._type),
        ):

            async def answered(request: web.Request, handler: Any = handler) -> web.Response:
                return await self._answer(request, handler)

            router.add_route(method, f"/api/v10{path}", answered)

    async def _answer(self, request: web.Request, handler: Any) -> web.Response:
        if request.headers.get("Authorization") != f"Bot {self.token}":
            return answer({"message": "401: Unauthorized", "code": 0}, 401)
        if request.method in ("POST", "PATCH") and (wait := self.throttled()) is not None:
            body = {"message": "You are being rate limited.", "retry_after": wait, "global": False}
            headers = {"Retry-After": f"{wait:g}", "Via": "1.1 google", "X-RateLimit-Scope": "user"}
            return answer(body, 429, headers)
        try:
            result = await handler(request)
        except Refusal as refusal:
            return answer(refusal.body, refusal.status)
        return web.Response(status=204) if result is None else answer(result)

    async def _me(self, _request: web.Request) -> Json:
        return self.bot

    async def _application(self, _request: web.Request) -> Json:
        flags = 1 << 19 if self.privileged & MESSAGE_CONTENT else 0
        return {
            "id": BOT_ID,
            "name": "PRX",
            "icon": None,
            "description": "",
            "bot_public": True,
            "bot_require_code_grant": False,
            "verify_key": "00",
            "flags": flags,
            "owner": self.user("1", "owner"),
            "team": None,
            "summary": "",
        }

    async def _gateway_bot(self, _request: web.Request) -> Json:
        limit = {"total": 1000, "remaining": self.logins_left, "reset_after": 60_000, "max_concurrency": 1}
        return {"url": self.gateway.url, "shards": 1, "session_start_limit": limit}

    async def _guilds(self, _request: web.Request) -> list[Json]:
        return [
            {"id": GUILD, "name": "Guild", "icon": None, "owner": False, "permissions": str(self.permissions)}
        ][: self.is_invited]

    async def _open_dm(self, _request: web.Request) -> Json:
        return self._channels[DM]

    async def _channel(self, request: web.Request) -> Json:
        channel = self._channels.get(request.match_info["channel"])
        if channel is None:
            raise Refusal(404, 10003, "Unknown Channel")
        return channel

    async def _read(self, request: web.Request) -> list[Json]:
        channel = (await self._channel(request))["id"]
        after, limit = int(request.query.get("after", 0)), int(request.query.get("limit", 50))
        found = [each for each in self.history if each["channel_id"] == channel and int(each["id"]) > after]
        # What is read like this does not say of which guild it is.
        return [{key: each[key] for key in each if key != "guild_id"} for each in found[:limit][::-1]]

    async def _send(self, request: web.Request) -> Json:
        channel = (await self._channel(request))["id"]
        if channel in self.forbidden:
            raise Refusal(403, 50013, "Missing Permissions")
        fields, files = await fields_of(request)
        if "payload_json" in fields:
            names = [fields[f"{key}.name"] for key in files]
            fields = json.loads(fields["payload_json"])
            attachments = [
                self.attachment(name, content, "application/octet-stream")
                for name, content in zip(names, files.values(), strict=True)
            ]
        else:
            attachments = []
        if sum(map(len, files.values())) > MAX_UPLOAD:
            raise Refusal(413, 40005, "Request entity too large")
        content = _content(fields, optional=bool(files))
        nonce = _nonce(fields)
        if nonce is not None and fields.get("enforce_nonce"):
            for known in self.sent:
                if known.get("nonce") == nonce:
                    return _shown(known)
        asked = {} if nonce is None else {"nonce": nonce}
        message = self._message(channel, self.bot, content, attachments=attachments, **asked)
        reference = fields.get("message_reference")
        if reference:
            message |= {"message_reference": reference, "type": 19}
        self.sent.append(message | {"asked": fields, "files": list(files.values())})
        self.gateway.dispatch("MESSAGE_CREATE", message)
        return message

    async def _edit(self, request: web.Request) -> Json:
        channel = (await self._channel(request))["id"]
        ident = request.match_info["message"]
        fields, _ = await fields_of(request)
        found = [each for each in self.sent if (each["channel_id"], each["id"]) == (channel, ident)]
        if not found:
            raise Refusal(404, 10008, "Unknown Message")
        found[0].update(content=_content(fields), asked=found[0]["asked"] | fields, edited_timestamp=_TIME)
        return _shown(found[0])

    async def _type(self, request: web.Request) -> None:
        self.typed.append((await self._channel(request))["id"])

    async def _download(self, request: web.Request) -> web.Response:
        content = self.files.get(request.match_info["id"])
        return web.Response(status=404) if content is None else web.Response(body=content)

    def _message(self, channel: str, author: Json, content: str, **fields: Any) -> Json:
        guild = self._channels[channel].get("guild_id")
        message = {
            "id": self._number(),
            "channel_id": channel,
            "author": author,
            "content": content,
            "timestamp": _TIME,
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [],
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "pinned": False,
            "type": 0,
            "flags": 0,
            "components": [],
            **({"guild_id": guild} if guild else {}),
            **fields,
        }
        self.history.append(message)
        return message

    def _number(self) -> str:
        self._next_id += 1
        return str(self._next_id)


_TIME: Final = "2026-09-21T14:13:20.000000+00:00"


def _shown(sent: Json) -> Json:
    """Return a message of the bot as Discord tells of it."""
    return {key: value for key, value in sent.items() if key not in ("asked", "files")}


def _nonce(fields: Json) -> str | int | None:
    """Return what a message is to be known by for some minutes: for as long as the emulator runs."""
    nonce: str | int | None = fields.get("nonce")
    if isinstance(nonce, str) and len(nonce) > MAX_NONCE:
        fault = {"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 25 or fewer in length."}
        raise Refusal(400, 50035, "Invalid Form Body", errors={"nonce": {"_errors": [fault]}})
    return nonce


def _content(fields: Json, *, optional: bool = False) -> str:
    content: str = fields.get("content") or ""
    if len(content) > MAX_CONTENT:
        fault = {"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length."}
        raise Refusal(400, 50035, "Invalid Form Body", errors={"content": {"_errors": [fault]}})
    if not content.strip() and not optional:
        raise Refusal(400, 50006, "Cannot send an empty message")
    return content
