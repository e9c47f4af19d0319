"""Slack for one app: the Web API as far as chat bots use it. Socket Mode is beside it."""

import html
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from tests.support.platforms.server import Json, PlatformServer, answer, fields_of
from tests.support.platforms.slack_sockets import Sockets

BOT_TOKEN: Final = "xoxb-emulated-bot-token"  # noqa: S105  # of nothing that exists
APP_TOKEN: Final = "xapp-emulated-app-token"  # noqa: S105  # of nothing that exists
BOT: Final = "UBOT"
USER: Final = "UADA"
TEAM: Final = "T1"
CHANNEL: Final = "C1"
DM: Final = "D1"
MAX_TEXT: Final = 40_000
MAX_EDIT: Final = 4_000
SCOPES: Final = frozenset(
    (
        *("app_mentions:read", "channels:history", "chat:write", "files:read", "files:write"),
        *("groups:history", "im:history", "im:read", "mpim:history", "users:read"),
    )
)
_SCOPE_OF: Final = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "users.info": "users:read",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "conversations.history": "channels:history",
    "conversations.replies": "channels:history",
}


class Refusal(Exception):  # noqa: N818  # it is an answer
    """What a method is answered instead of a result: Slack's name for the error."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.body = {"ok": False, "error": error, **more}


class SlackServer(PlatformServer):
    """Slack. Tests write as users with `say`, and read what the bot sent in `sent`."""

    def __init__(self) -> None:
        super().__init__()
        self.bot_token = BOT_TOKEN
        self.app_token = APP_TOKEN
        self.scopes = set(SCOPES)
        self.sockets = Sockets(self)
        self.sent: list[Json] = []
        """Each message of the bot as it is now; `asked` is what the bot asked for."""
        self.shared: list[tuple[Json, bytes]] = []
        """What the bot asked for with each file that it shared, and the file's content."""
        self.history: list[Json] = []
        self.channels = {CHANNEL, DM}
        self.history_is_throttled = False
        self._files: dict[str, bytes] = {}
        self._names: dict[str, str] = {}
        self._next_ts = (int(time.time()) - 3600) * 1_000_000  # so that nothing is too old to be answered
        self._next_event = 0
        self._methods: dict[str, Callable[[Json], Awaitable[Json]]] = {
            "auth.test": self._auth_test,
            "apps.connections.open": self._open,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "files.getUploadURLExternal": self._upload_url,
            "files.completeUploadExternal": self._complete,
            "users.info": self._user,
        }

    # What tests do

    def say(self, text: str, *, channel: str = DM, user: str = USER, **fields: Any) -> Json:
        """Have a user write a message; `fields` are more of its fields."""
        message = self._message(channel, text, user=user, **fields)
        self.tell(message)
        return message

    def tell(self, event: Json) -> None:
        """Tell the app of an event."""
        self._next_event += 1
        self.sockets.deliver(
            {
                "token": "v",
                "team_id": TEAM,
                "api_app_id": "A1",
                "type": "event_callback",
                "event": event,
                "event_id": f"Ev{self._next_event:08}",
                "event_time": 1_790_000_000,
                "authorizations": [{"team_id": TEAM, "user_id": BOT, "is_bot": True}],
            }
        )

    def file(self, name: str, content: bytes, media_type: str) -> Json:
        """Have a file to attach to a message."""
        ident = f"F{len(self._files) + 1}"
        self._files[ident] = content
        url = f"{self.url}/files-pri/{ident}/{name}"
        return {
            "id": ident,
            "name": name,
            "mimetype": media_type,
            "size": len(content),
            "url_private": url,
            "url_private_download": url,
            "mode": "hosted",
        }

    @property
    def texts(self) -> list[str]:
        """What a reader sees of each message of the bot, as far as it is plain text."""
        return [html.unescape(message["text"]) for message in self.sent]

    # What clients do

    def route(self, router: web.UrlDispatcher) -> None:
        router.add_route("*", "/api/{method}", self._call)
        router.add_get("/link", self.sockets.serve)
        router.add_post("/upload/{id}", self._upload)
        router.add_get("/files-pri/{id}/{name}", self._download)

    def stopped(self) -> None:
        self.sockets.stop()

    async def _call(self, request: web.Request) -> web.Response:
        name = request.match_info["method"]
        fields, _ = await fields_of(request)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ") or fields.get("token")
        needed = self.app_token if name == "apps.connections.open" else self.bot_token
        method = self._methods.get(name)
        headers = {"x-oauth-scopes": ",".join(sorted(self.scopes))}
        if method is None:
            return answer({"ok": False, "error": "unknown_method"})
        if given is None:
            return answer({"ok": False, "error": "not_authed"})
        if given != needed:
            known = given in (self.app_token, self.bot_token)
            return answer({"ok": False, "error": "not_allowed_token_type" if known else "invalid_auth"})
        wait = self.throttled() if name.startswith("chat.") else None
        if wait is not None or (self.history_is_throttled and name == "conversations.history"):
            body = {"ok": False, "error": "ratelimited"}
            return answer(body, 429, {"Retry-After": f"{wait or 60:.0f}"})
        scope = _SCOPE_OF.get(name)
        if scope is not None and scope not in self.scopes:
            provided = ",".join(sorted(self.scopes))
            return answer({"ok": False, "error": "missing_scope", "needed": scope, "provided": provided})
        try:
            return answer({"ok": True, **await method(fields)}, headers=headers)
        except Refusal as refusal:
            return answer(refusal.body)

    async def _auth_test(self, _fields: Json) -> Json:
        return {
            "url": f"{self.url}/",
            "team": "Team",
            "user": "prx",
            "team_id": TEAM,
            "user_id": BOT,
            "bot_id": "B1",
            "is_enterprise_install": False,
        }

    async def _open(self, _fields: Json) -> Json:
        if self.sockets.is_off:
            raise Refusal("forbidden_team")
        return {"url": self.sockets.new_url()}

    async def _post(self, fields: Json) -> Json:
        text = _text(fields)
        message = self._message(
            self._channel(fields),
            text,
            user=BOT,
            bot_id="B1",
            **({"thread_ts": fields["thread_ts"]} if fields.get("thread_ts") else {}),
        )
        self.sent.append(message | {"asked": fields})
        self.tell(message)
        return {"channel": message["channel"], "ts": message["ts"], "message": message}

    async def _update(self, fields: Json) -> Json:
        channel = self._channel(fields)
        found = [each for each in self.sent if (each["channel"], each["ts"]) == (channel, fields["ts"])]
        if not found:
            raise Refusal("message_not_found")
        found[0].update(text=_text(fields, MAX_EDIT), asked=found[0]["asked"] | fields, edited={"user": BOT})
        for each in self.history:
            if (each["channel"], each["ts"]) == (channel, fields["ts"]):
                each["text"] = found[0]["text"]
        return {"channel": channel, "ts": fields["ts"], "text": found[0]["text"]}

    async def _history(self, fields: Json) -> Json:
        channel, oldest = self._channel(fields), float(fields.get("oldest") or 0)
        found = [
            each
            for each in self.history
            if each["channel"] == channel
            and float(each["ts"]) > oldest
            and each.get("thread_ts", each["ts"]) == each["ts"]
        ]
        return {"messages": found[::-1][: int(fields.get("limit") or 100)], "has_more": False}

    async def _replies(self, fields: Json) -> Json:
        channel, oldest = self._channel(fields), float(fields.get("oldest") or 0)
        thread = [
            each
            for each in self.history
            if each["channel"] == channel and fields["ts"] in (each.get("thread_ts"), each["ts"])
        ]
        if not thread:
            raise Refusal("thread_not_found")
        # The first one of a thread comes with each answer, however old it is.
        found = [each for each in thread if float(each["ts"]) > oldest or each["ts"] == fields["ts"]]
        return {"messages": found[: int(fields.get("limit") or 100)], "has_more": False}

    async def _upload_url(self, fields: Json) -> Json:
        if not fields.get("filename") or int(fields.get("length") or 0) < 1:
            raise Refusal("invalid_arguments")
        ident = f"F{len(self._files) + 1}"
        self._files[ident] = b""
        self._names[ident] = fields["filename"]
        return {"upload_url": f"{self.url}/upload/{ident}", "file_id": ident}

    async def _upload(self, request: web.Request) -> web.Response:
        ident = request.match_info["id"]
        _, files = await fields_of(request)
        self._files[ident] = b"".join(files.values()) or await request.read()
        return web.Response(text=f"OK - {len(self._files[ident])}")

    async def _complete(self, fields: Json) -> Json:
        files = json.loads(fields["files"]) if isinstance(fields["files"], str) else fields["files"]
        self._channel({"channel": fields["channel_id"]})
        for file in files:
            self.shared.append((fields | {"name": self._names[file["id"]]}, self._files[file["id"]]))
        return {"files": [{"id": file["id"], "title": file.get("title")} for file in files]}

    async def _download(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.bot_token}":
            return web.Response(text="<html>Sign in</html>", content_type="text/html")
        content = self._files.get(request.match_info["id"])
        return web.Response(status=404) if content is None else web.Response(body=content)

    async def _user(self, fields: Json) -> Json:
        ident = fields["user"]
        return {"user": {"id": ident, "name": ident[1:].lower(), "is_bot": ident == BOT}}

    def _channel(self, fields: Json) -> str:
        channel: str = fields.get("channel", "")
        if channel not in self.channels:
            raise Refusal("channel_not_found")
        return channel

    def _message(self, channel: str, text: str, **fields: Any) -> Json:
        self._next_ts += 1_000_000
        message = {
            "type": "message",
            "channel": channel,
            "text": text,
            "team": TEAM,
            "ts": f"{self._next_ts // 1_000_000}.{self._next_ts % 1_000_000:06}",
            "channel_type": "im" if channel.startswith("D") else "channel",
            **fields,
        }
        self.history.append(message)
        return message | {"event_ts": message["ts"]}


def _text(fields: Json, limit: int = MAX_TEXT) -> str:
    text: str = fields.get("text") or ""
    if not text:
        raise Refusal("no_text")
    if len(text) > limit:
        raise Refusal("msg_too_long")
    return text
