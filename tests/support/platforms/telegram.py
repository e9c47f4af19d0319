"""Telegram's Bot API for one bot, as far as chat bots use it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from tests.support.platforms.server import Json, PlatformServer, answer, fields_of
from tests.support.platforms.telegram_html import EntityError, plain

TOKEN: Final = "7000000001:AAE-the-token-of-the-emulated-bot"  # noqa: S105  # of nothing that exists
BOT_ID: Final = 7000000001
NOW: Final = 1_790_000_000
MAX_TEXT: Final = 4096
MAX_CAPTION: Final = 1024
MAX_DOWNLOAD: Final = 20 << 20

_CONFLICT: Final = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)


class Refusal(Exception):  # noqa: N818  # it is an answer
    """What a method is answered instead of a result."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters


_TEXTS: Final = ("text", "caption")

Method = Callable[[Json, dict[str, bytes]], Awaitable[Any]]


class TelegramServer(PlatformServer):
    """The Bot API. Tests write as users with `say`, and read what the bot sent in `sent`."""

    def __init__(self) -> None:
        super().__init__()
        self.token = TOKEN
        self.username = "prx_test_bot"
        self.reads_all = False
        """Whether BotFather's privacy mode is off."""
        self.webhook = ""
        self.sent: list[Json] = []
        """Each message of the bot as it is now, in the order of sending; `asked` is what the bot asked for."""
        self.actions: list[tuple[str, str]] = []
        self.calls: list[tuple[str, Json]] = []
        self.gone: set[str] = set()
        """Chats that the bot can no longer write to."""
        self.shows_photos = True
        """Whether pictures have sides that Telegram accepts."""
        self._updates: list[Json] = []
        self._next_update = 500_000_000
        self._next_message = 1
        self._arrived = asyncio.Event()
        self._poller: asyncio.Future[None] | None = None
        self._files: dict[str, bytes] = {}
        self._methods: dict[str, Method] = {
            "getMe": self._get_me,
            "getUpdates": self._get_updates,
            "getWebhookInfo": self._get_webhook_info,
            "deleteWebhook": self._delete_webhook,
            "sendMessage": self._send_message,
            "editMessageText": self._edit_message_text,
            "sendChatAction": self._send_chat_action,
            "getFile": self._get_file,
            "sendDocument": self._send_file("document"),
            "sendPhoto": self._send_file("photo"),
        }

    # What tests do

    def user(self, ident: int, name: str = "Ada", username: str | None = "ada") -> Json:
        """Return a user as Telegram tells of one."""
        user = {"id": ident, "is_bot": False, "first_name": name}
        return user | ({"username": username} if username else {})

    def say(
        self, text: str = "", *, user: Json | None = None, chat: Json | None = None, **fields: Any
    ) -> Json:
        """Have a user write a message, to the bot itself unless a `chat` is given; `fields` are more of its fields."""
        user = user or self.user(111)
        chat = chat or {"id": user["id"], "type": "private", "first_name": user["first_name"]}
        message = {"message_id": self._number(), "from": user, "chat": chat, "date": NOW, **fields}
        if text:
            message["text"] = text
            commands = [
                {"type": "bot_command", "offset": 0, "length": len(text.split(maxsplit=1)[0])}
                for _ in range(text.startswith("/"))
            ]
            message.setdefault("entities", commands)
        self._update(message)
        return message

    def keep_file(self, ident: str, content: bytes) -> None:
        """Have a file to fetch."""
        self._files[ident] = content

    def after_an_idle_week(self) -> None:
        """Number updates from somewhere below, as Telegram does after a week in which nothing came."""
        self._next_update = 1_000

    async def poll(self) -> None:
        """Poll once and briefly, as a second program with the same token would."""
        await self._get_updates({"timeout": 0.01}, {})

    @property
    def waiting(self) -> int:
        """How many updates nobody confirmed."""
        return len(self._updates)

    @property
    def is_polled(self) -> bool:
        """Whether somebody waits for updates now."""
        return self._poller is not None

    @property
    def texts(self) -> list[str]:
        """What a reader sees of each message of the bot."""
        return [message.get("text", "") for message in self.sent]

    # What clients do

    def route(self, router: web.UrlDispatcher) -> None:
        router.add_route("*", "/bot{token}/{method}", self._call)
        router.add_get("/file/bot{token}/{path:.+}", self._download)

    async def _call(self, request: web.Request) -> web.Response:
        token, name = request.match_info["token"], request.match_info["method"]
        if ":" not in token:
            return _refused(Refusal(404, "Not Found"))
        if token != self.token:
            return _refused(Refusal(401, "Unauthorized"))
        method = self._methods.get(name)
        if method is None:
            return _refused(Refusal(404, "Not Found: method not found"))
        fields, files = await fields_of(request)
        fields = {key: value if key in _TEXTS else _read(value) for key, value in fields.items()}
        self.calls.append((name, fields))
        try:
            if name.startswith(("send", "edit")) and (wait := self.throttled()) is not None:
                raise Refusal(429, f"Too Many Requests: retry after {wait:g}", retry_after=int(wait))  # noqa: TRY301
            return answer({"ok": True, "result": await method(fields, files)})
        except Refusal as refusal:
            return _refused(refusal)

    async def _download(self, request: web.Request) -> web.Response:
        content = self._files.get(request.match_info["path"].removeprefix("files/"))
        if request.match_info["token"] != self.token or content is None:
            return _refused(Refusal(404, "Not Found"))
        return web.Response(body=content, content_type="application/octet-stream")

    async def _get_me(self, _fields: Json, _files: dict[str, bytes]) -> Json:
        return {
            "id": BOT_ID,
            "is_bot": True,
            "first_name": "PRX",
            "username": self.username,
            "can_join_groups": True,
            "can_read_all_group_messages": self.reads_all,
            "supports_inline_queries": False,
        }

    async def _get_updates(self, fields: Json, _files: dict[str, bytes]) -> list[Json]:
        if self.webhook:
            description = "Conflict: can't use getUpdates method while webhook is active"
            raise Refusal(409, f"{description}; use deleteWebhook to delete the webhook first")
        if self._poller is not None and not self._poller.done():
            self._poller.set_result(None)
        poller = self._poller = asyncio.get_running_loop().create_future()
        try:
            offset = int(fields.get("offset") or 0)
            # A confirmation is for good, and only for ids below: it is how an offset that is too high loses messages.
            self._updates = [each for each in self._updates if each["update_id"] >= offset]
            if not self._updates:
                await self._wait(poller, float(fields.get("timeout") or 0))
            return [each for each in self._updates if each["update_id"] >= offset][
                : fields.get("limit") or 100
            ]
        finally:
            if self._poller is poller:
                self._poller = None

    async def _wait(self, poller: "asyncio.Future[None]", timeout_secs: float) -> None:
        self._arrived.clear()
        arrived = asyncio.ensure_future(self._arrived.wait())
        try:
            await asyncio.wait((arrived, poller), timeout=timeout_secs, return_when=asyncio.FIRST_COMPLETED)
            if poller.done():
                raise Refusal(409, _CONFLICT)
        finally:
            arrived.cancel()

    async def _get_webhook_info(self, _fields: Json, _files: dict[str, bytes]) -> Json:
        return {"url": self.webhook, "has_custom_certificate": False, "pending_update_count": self.waiting}

    async def _delete_webhook(self, fields: Json, _files: dict[str, bytes]) -> bool:
        self.webhook = ""
        if fields.get("drop_pending_updates"):
            self._updates.clear()
        return True

    async def _send_message(self, fields: Json, _files: dict[str, bytes]) -> Json:
        text = self._text(fields, "text", MAX_TEXT)
        if not text.strip():
            raise Refusal(400, "Bad Request: message text is empty")
        return self._keep(fields, text=text)

    def _send_file(self, kind: str) -> Method:
        async def send(fields: Json, files: dict[str, bytes]) -> Json:
            field = str(fields[kind]).removeprefix("attach://") if kind in fields else kind
            if field not in files:
                raise Refusal(400, f"Bad Request: there is no {kind} in the request")
            name = fields[f"{field}.name"]
            ident = f"{kind}-{len(self._files)}"
            self._files[ident] = files[field]
            sent = {"file_id": ident, "file_unique_id": ident, "file_size": len(files[field])}
            caption = self._text(fields, "caption", MAX_CAPTION)
            if kind == "photo" and not self.shows_photos:
                raise Refusal(400, "Bad Request: PHOTO_INVALID_DIMENSIONS")
            if kind == "photo":
                return self._keep(fields, caption=caption, photo=[sent | {"width": 1, "height": 1}])
            return self._keep(fields, caption=caption, document=sent | {"file_name": name})

        return send

    async def _edit_message_text(self, fields: Json, _files: dict[str, bytes]) -> Json:
        self._chat(fields)
        found = [
            each
            for each in self.sent
            if (each["chat"]["id"], each["message_id"]) == (fields["chat_id"], int(fields["message_id"]))
        ]
        if not found:
            raise Refusal(400, "Bad Request: message to edit not found")
        text = self._text(fields, "text", MAX_TEXT)
        if (text, fields.get("parse_mode")) == (found[0]["text"], found[0]["asked"].get("parse_mode")):
            raise Refusal(
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly "
                "the same as a current content and reply markup of the message",
            )
        found[0].update(text=text, asked=fields, edit_date=NOW)
        return _shown(found[0])

    async def _send_chat_action(self, fields: Json, _files: dict[str, bytes]) -> bool:
        self._chat(fields)
        self.actions.append((str(fields["chat_id"]), fields["action"]))
        return True

    async def _get_file(self, fields: Json, _files: dict[str, bytes]) -> Json:
        ident = fields["file_id"]
        content = self._files.get(ident)
        if content is None:
            raise Refusal(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        if len(content) > MAX_DOWNLOAD:
            raise Refusal(400, "Bad Request: file is too big")
        told = {"file_id": ident, "file_unique_id": ident, "file_size": len(content)}
        return told | {"file_path": f"files/{ident}"}

    # What all of them need

    def _keep(self, fields: Json, **content: Any) -> Json:
        chat = self._chat(fields)
        message: Json = {
            "message_id": self._number(),
            "from": {"id": BOT_ID, "is_bot": True, "first_name": "PRX", "username": self.username},
            "chat": {"id": chat, "type": "private" if chat > 0 else "supergroup", "title": "chat"},
            "date": NOW,
            **content,
            "asked": fields,
        }
        self.sent.append(message)
        return _shown(message)

    def _chat(self, fields: Json) -> int:
        chat = fields.get("chat_id")
        if not isinstance(chat, int):
            raise Refusal(400, "Bad Request: chat not found")
        if str(chat) in self.gone:
            raise Refusal(403, "Forbidden: bot was blocked by the user")
        fields.setdefault("message_thread_id", None)
        return chat

    def _text(self, fields: Json, key: str, limit: int) -> str:
        text = str(fields.get(key, ""))
        mode = fields.get("parse_mode")
        if mode == "HTML":
            try:
                text = plain(text)
            except EntityError as error:
                raise Refusal(400, f"Bad Request: can't parse entities: {error}") from error
        elif mode:
            raise Refusal(400, "Bad Request: unsupported parse_mode")
        if len(text.encode("utf-16-le")) // 2 > limit:
            too_long = "message is too long" if key == "text" else "message caption is too long"
            raise Refusal(400, f"Bad Request: {too_long}")
        return text

    def _update(self, message: Json) -> None:
        self._updates.append({"update_id": self._next_update, "message": message})
        self._next_update += 1
        self._arrived.set()

    def _number(self) -> int:
        number = self._next_message
        self._next_message += 1
        return number


def _read(value: Any) -> Any:
    """Return a field as the method sees it: what is no string comes as JSON in forms."""
    if not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except ValueError:
        return value
    return value if isinstance(read, str) or read is None else read


def _shown(message: Json) -> Json:
    return {key: value for key, value in message.items() if key != "asked"}


def _refused(refusal: Refusal) -> web.Response:
    body: Json = {"ok": False, "error_code": refusal.code, "description": refusal.description}
    if refusal.parameters:
        body["parameters"] = refusal.parameters
    return answer(body, refusal.code)
