"""The chat service of the sample `plugins/relay`: JSON over HTTP, as its README says."""

import asyncio
import base64
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

from tests.support.platforms.server import Json, PlatformServer, answer

TOKEN: Final = "the-token-of-the-relay"  # noqa: S105  # of nothing that exists


class RelayServer(PlatformServer):
    """Tests write with `say`, and read in `texts` what the bot said."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Json] = []
        self.said: dict[str, str] = {}
        """The bot's messages as they are now, by their id."""
        self.replies_to: list[str | None] = []
        self.files: dict[str, bytes] = {}
        """Those that messages tell of, by their id."""
        self.sent_files: list[tuple[str, str, bytes]] = []
        """Those of the bot: name, type and content."""
        self.takes_files = True
        self.refused_files = 0
        self.edits = 0
        self.typed: list[str] = []
        self.polls = 0
        self.lost_rooms: set[str] = set()
        self._keys: dict[str, str] = {}
        self._came = asyncio.Event()

    @property
    def texts(self) -> list[str]:
        return [*self.said.values()]

    def say(self, text: str, *, user: str = "ada", room: str | None = None, **more: Any) -> None:
        """Have somebody say something; without a `room` to the bot alone."""
        number = len(self.messages) + 1
        message = {"id": f"m{number}", "room": room or user, "user": user, "text": text}
        self.messages.append(message | {"group": room is not None, "at": 1_790_000_000_000} | more)
        self._came.set()
        self._came = asyncio.Event()

    def route(self, router: web.UrlDispatcher) -> None:
        router.add_get("/me", self._me)
        router.add_get("/messages", self._news)
        router.add_get("/files/{id}", self._file)
        router.add_post("/messages", self._say)
        router.add_put("/messages/{id}", self._change)
        router.add_post("/typing", self._type)

    async def _me(self, request: web.Request) -> web.Response:
        _check(request)
        return answer({"name": "prx"})

    async def _news(self, request: web.Request) -> web.Response:
        _check(request)
        self.polls += 1
        if "after" not in request.query:
            return answer({"messages": [], "cursor": str(len(self.messages))})
        after = int(request.query["after"])
        if after >= len(self.messages):
            with suppress(TimeoutError):
                async with asyncio.timeout(int(request.query["wait"]) / 1000):
                    await self._came.wait()
        return answer({"messages": self.messages[after:], "cursor": str(len(self.messages))})

    async def _say(self, request: web.Request) -> web.Response:
        _check(request)
        asked = await request.json()
        if (secs := self.throttled()) is not None:
            return answer({}, 429, {"Retry-After": f"{secs:.0f}"})
        if "file" in asked and not self.takes_files:
            self.refused_files += 1
            return answer({}, 429, {"Retry-After": "600"})
        if asked["room"] in self.lost_rooms:
            return answer({}, 404)
        if asked["key"] in self._keys:
            return answer({"id": self._keys[asked["key"]]})
        message_id = f"b{len(self.said) + 1}"
        if asked["key"] is not None:
            self._keys[asked["key"]] = message_id
        self.said[message_id] = asked["text"]
        self.replies_to.append(asked["reply_to"])
        if (file := asked.get("file")) is not None:
            self.sent_files.append((file["name"], file["type"], base64.b64decode(file["content"])))
        return answer({"id": message_id})

    async def _file(self, request: web.Request) -> web.Response:
        _check(request)
        content = self.files.get(request.match_info["id"])
        return answer({}, 404) if content is None else web.Response(body=content)

    async def _change(self, request: web.Request) -> web.Response:
        _check(request)
        if request.match_info["id"] not in self.said:
            return answer({}, 404)
        self.said[request.match_info["id"]] = (await request.json())["text"]
        self.edits += 1
        return answer({})

    async def _type(self, request: web.Request) -> web.Response:
        _check(request)
        self.typed.append((await request.json())["room"])
        return answer({})


def _check(request: web.Request) -> None:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        raise web.HTTPUnauthorized
