"""Messages from stdio to the daemon's `/mcp` and back, in both eras of the protocol.

The client need not know that there is a daemon behind: where that was started anew, its session is opened again and the
client is told that the lists may have changed.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from prx.cli.exit_codes import DaemonDownError
from prx.cli.mcp.link import SESSION, BusyError, Link, LostSessionError, UnreachableError
from prx.cli.mcp.messages import (
    HEADER_MISMATCH,
    INVALID_REQUEST,
    Event,
    Message,
    era_of,
    error_code,
    failure,
    is_answer_to,
    newer_headers,
    read_stream,
)
from prx.cli.mcp.mirrored import Mirrored
from prx.core.errors import PrxError

Emit = Callable[[Message], Awaitable[None]]

_MAX_IN_FLIGHT: Final = 256
_ATTEMPTS: Final = 4
_RETRY_SECS: Final = 1.0
_LAST_WORDS_SECS: Final = 2.0
_LISTS: Final = ("tools", "prompts", "resources")


class Bridge:
    """One client's messages on their way."""

    def __init__(self, link: Link, emit: Emit) -> None:
        """Send over `link`; what comes back goes to `emit`."""
        self._link = link
        self._emit = emit
        self._hello: Message | None = None
        """The client's `initialize`, from which its session is opened again."""
        self._session: dict[str, str] = {}
        """The headers of the session that is open."""
        self._opening = asyncio.Lock()
        self._mirrored = Mirrored()
        self._requests: dict[Any, asyncio.Task[None]] = {}
        self._news: asyncio.Task[None] | None = None

    async def take(self, message: Message) -> None:
        """Take a message from the client. Waits for what has to arrive before the next one; never raises."""
        request_id = message.get("id")
        if not isinstance(request_id, str | int | None):
            await self._emit(failure(None, "The id of a request is a text or a number", INVALID_REQUEST))
        elif "method" in message and "id" in message and message["method"] != "initialize":
            if len(self._requests) >= _MAX_IN_FLIGHT:
                await self._emit(failure(request_id, f"{_MAX_IN_FLIGHT} requests wait for an answer already"))
                return
            task = asyncio.create_task(self._answer(message))
            self._requests[request_id] = task
            task.add_done_callback(lambda _: self._requests.pop(request_id, None))
        elif message.get("method") == "notifications/cancelled" and not self._session:
            # In the newer era a client of HTTP cancels by closing the connection.
            cancelled = self._requests.get((message.get("params") or {}).get("requestId"))
            if cancelled is not None:
                cancelled.cancel()
        else:
            await self._answer(message)
            if message.get("method") == "notifications/initialized":
                self._listen()

    async def drained(self, within_secs: float) -> None:
        """Wait for the answers that are under way."""
        if self._requests:
            await asyncio.wait(set(self._requests.values()), timeout=within_secs)

    async def aclose(self) -> None:
        """End everything, and the session."""
        tasks = {*self._requests.values(), *([self._news] if self._news is not None else [])}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._session:
            # Where that fails, it ends by itself when it is idle.
            with suppress(LostSessionError, BusyError, DaemonDownError, TimeoutError):
                async with (
                    asyncio.timeout(_LAST_WORDS_SECS),
                    self._link.request("DELETE", self._session) as response,
                ):
                    await response.read()

    async def _answer(self, message: Message) -> None:
        """Send a message until the daemon has taken it, and pass on what it answers."""
        reason = "the daemon does not take it"
        for _ in range(_ATTEMPTS):
            try:
                if await self._sent(message):
                    return
            except BusyError as busy:
                reason = busy.reason
                await asyncio.sleep(busy.secs)
            except PrxError as error:
                reason = error.message
                break
        if "id" in message and "method" in message:
            await self._emit(failure(message["id"], reason))

    async def _sent(self, message: Message) -> bool:
        """Tell whether the daemon acted on a message; what kept it from that is mended, so that it is sent again."""
        try:
            return await self._send(message)
        except (LostSessionError, UnreachableError):
            await self._open_again(message)
            return False

    async def _send(self, message: Message) -> bool:
        is_hello = message.get("method") == "initialize"
        headers = {} if is_hello else self._headers(message)
        body = json.dumps(message).encode()
        async with self._link.request("POST", headers, body) as response:
            if is_hello:
                self._hello = message
                self._session = {SESSION: response.headers.get(SESSION, "")}
            if await self._lacks_headers(response, message, headers):
                return False
            last = await self._pass_on(response, message)
        if last is not None and "id" in message:
            await self._resume(message, last)
        return True

    def _headers(self, message: Message) -> dict[str, str]:
        version = era_of(message)
        if version is None:
            return self._session
        return newer_headers(message, version) | self._mirrored.headers(message)

    async def _lacks_headers(
        self, response: aiohttp.ClientResponse, message: Message, sent: dict[str, str]
    ) -> bool:
        """Tell whether the daemon refuses a message for want of headers that can be sent with it."""
        if response.status != HTTPStatus.BAD_REQUEST or era_of(message) is None:
            return False
        if error_code(await response.read()) != HEADER_MISMATCH:
            return False
        await self._learn_tools(message)
        return self._headers(message) != sent

    async def _learn_tools(self, message: Message) -> None:
        """Ask, as who sends `message`, which arguments of the tools are to be repeated in headers."""
        meta = {key: value for key, value in message["params"]["_meta"].items() if key != "progressToken"}
        asked: Message = {"jsonrpc": "2.0", "id": 0, "method": "tools/list", "params": {"_meta": meta}}
        found: list[Message] = []

        async def keep(answer: Message) -> None:
            found.append(answer)

        async with self._link.request("POST", self._headers(asked), json.dumps(asked).encode()) as response:
            await self._pass_on(response, asked, keep)
        self._mirrored.learn(found[-1].get("result", {}).get("tools", []) if found else [])

    async def _pass_on(
        self, response: aiohttp.ClientResponse, message: Message, emit: Emit | None = None
    ) -> Event | None:
        """Pass on an answer; return where to go on if it broke off."""
        emit = emit or self._emit
        if response.content_type != "text/event-stream":
            if body := await response.read():
                await emit(self._noted(message, json.loads(body)))
            return None
        last = Event(None, None, None)
        with suppress(aiohttp.ClientError):  # a connection that is lost is resumed
            async for event in read_stream(aiter(response.content)):
                last = event
                if event.message is not None:
                    await emit(self._noted(message, event.message))
                    if is_answer_to(event.message, message.get("id")):
                        return None
        return last

    async def _resume(self, message: Message, last: Event) -> None:
        """Fetch the rest of an answer whose connection was lost.

        Raises:
            DaemonDownError: it cannot be had any more. The daemon may have acted: it is not asked again.
        """
        for _ in range(_ATTEMPTS):
            if last.id is None or not self._session:
                break
            await asyncio.sleep(_RETRY_SECS if last.retry_ms is None else last.retry_ms / 1000)
            with suppress(LostSessionError, BusyError, DaemonDownError):
                async with self._link.request("GET", self._session | {"Last-Event-ID": last.id}) as response:
                    found = await self._pass_on(response, message)
                if found is None:
                    return
                last = found if found.id is not None else last
        raise DaemonDownError("the connection to the daemon was lost before the answer came")

    def _noted(self, asked: Message, answer: Message) -> Message:
        """Note what the daemon says about the session, and return `answer` with the id that it answers."""
        if "error" in answer and answer.get("id") is None and "id" in asked:
            answer = answer | {"id": asked["id"]}
        result = answer.get("result")
        if asked.get("method") == "initialize" and isinstance(result, dict):
            self._session["MCP-Protocol-Version"] = str(result.get("protocolVersion"))
        return answer

    def _listen(self) -> None:
        if self._news is not None:
            self._news.cancel()
        self._news = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        """Pass on what the daemon tells unasked, for as long as the session lasts."""
        last: str | None = None
        while True:
            try:
                resumed = {} if last is None else {"Last-Event-ID": last}
                async with self._link.request("GET", self._session | resumed) as response:
                    async for event in read_stream(aiter(response.content)):
                        last = event.id or last
                        if event.message is not None:
                            await self._emit(event.message)
            except (LostSessionError, UnreachableError):
                last = None
                with suppress(BusyError, PrxError):
                    await self._open_again(None)
            except (BusyError, DaemonDownError):
                pass  # it stops, or has not noticed yet that the last stream is gone
            await asyncio.sleep(_RETRY_SECS)

    async def _open_again(self, message: Message | None) -> None:
        """Find the daemon anew, and open the client's session again.

        Raises:
            PrxError: there is no daemon, or it refuses.
            BusyError: it is starting.
        """
        before = self._session
        async with self._opening:
            if self._session is not before:
                return  # another request was quicker
            self._link.renew()
            if self._hello is not None and message is not self._hello:
                try:
                    await self._greet()
                except LostSessionError as error:
                    raise DaemonDownError(f"the daemon does not let this client in again: {error}") from error

    async def _greet(self) -> None:
        """Open a session as the client did, without its noticing."""
        assert self._hello is not None  # noqa: S101  # tells the type
        version = self._session.get("MCP-Protocol-Version", "")
        async with self._link.request("POST", {}, json.dumps(self._hello).encode()) as response:
            session = {SESSION: response.headers.get(SESSION, ""), "MCP-Protocol-Version": version}
            await response.read()
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        async with self._link.request("POST", session, json.dumps(ready).encode()):
            self._session = session
        for each in _LISTS:
            await self._emit({"jsonrpc": "2.0", "method": f"notifications/{each}/list_changed"})
