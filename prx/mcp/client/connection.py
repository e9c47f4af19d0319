"""One connection to an MCP server: the SDK shakes hands and keeps subscriptions, requests are ours.

Only a unit's life imports this module, and with it the SDK, which costs half a second and 37 MB.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import mcp_types
import pydantic
from mcp import Client, MCPError
from mcp.client.client import ConnectMode
from mcp.client.session import IncomingMessage
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from prx import __version__
from prx.core.errors import PrxError, UnavailableError
from prx.core.upstream import Ask, Progress, UpstreamError
from prx.mcp.client.listening import SUBSCRIBE, UNSUBSCRIBE, Listening, Noticed
from prx.mcp.client.questions import Questions
from prx.mcp.client.requests import Message, Requests
from prx.mcp.client.streams import Transport
from prx.runtime.logging import quieten

_MAX_PAGES: Final = 100
_SET_LEVEL: Final = "logging/setLevel"
_MAX_INSTRUCTIONS: Final = 16 * 1024
_ABOUT_US: Final = mcp_types.Implementation(name="prx", title="PRX", version=__version__)

quieten("httpcore2", "httpx2", "mcp")

FAILURES: Final = (MCPError, PrxError, OSError, RuntimeError, ValueError, ExceptionGroup)
"""What comes out of `connected` where there is no connection."""


class Connection:
    """A server that answered the handshake."""

    def __init__(self, client: Client, transport: Transport, questions: Questions, noticed: Noticed) -> None:
        """Speak to the server of `client` over `transport`.

        Args:
            client: has shaken hands.
            transport: what it did that over.
            questions: says what the server may ask.
            noticed: told of what may have changed while the server could not tell it.
        """
        self._transport = transport
        self._questions = questions
        self.protocol_version = client.protocol_version
        self.capabilities: dict[str, Any] = _plain(client.server_capabilities)
        self.server_info: dict[str, Any] | None = (
            None if client.server_info is None else _plain(client.server_info)
        )
        self.instructions = None if client.instructions is None else client.instructions[:_MAX_INSTRUCTIONS]
        self.is_modern = self.protocol_version in MODERN_PROTOCOL_VERSIONS
        self.lists: dict[str, list[Mapping[str, Any]]] = {}
        """What was listed beside tools, until the server says that it changed."""
        transport.speak(self.protocol_version)
        self._meta = _modern_meta(self.protocol_version) if self.is_modern else {}
        self._listening = Listening(client, self.capabilities, noticed) if self.is_modern else None

    @property
    def pid(self) -> int | None:
        """The id of the server's process, where it is one of ours."""
        return self._transport.pid

    @property
    def busy(self) -> bool:
        """Whether the server may be too busy for a sign of life."""
        return self._transport.busy

    @property
    def quiet_secs(self) -> float:
        """How long ago the server said anything."""
        return time.monotonic() - self._transport.heard_at

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        timeout_secs: float,
        progress: Progress | None = None,
        ask: Ask | None = None,
    ) -> Message:
        """Return the result of one request, without what the server says of itself; see `Requests.send`.

        A server of the newer era is told what it may ask for this request alone, which is on behalf of `ask`.
        """
        if self._listening is not None:
            if method == SUBSCRIBE:
                await self._listening.subscribe(params["uri"], timeout_secs)
                return {}
            if method == UNSUBSCRIBE:
                self._listening.unsubscribe(params["uri"])
                return {}
            if method == _SET_LEVEL:
                # What older versions are asked for once goes with every request from now on.
                self._meta[mcp_types.LOG_LEVEL_META_KEY] = params["level"]
                return {}
            can = {mcp_types.CLIENT_CAPABILITIES_META_KEY: self._questions.capabilities(ask)}
            params = {**params, "_meta": {**params.get("_meta", {}), **self._meta, **can}}
        result = await self._transport.requests.send(method, params, timeout_secs, progress)
        # Whoever passes it on is another server.
        meta = result.get("_meta")
        if isinstance(meta, dict) and meta.pop(mcp_types.SERVER_INFO_META_KEY, None) is not None and not meta:
            del result["_meta"]
        return result

    async def pages(self, method: str, key: str, timeout_secs: float) -> AsyncIterator[list[Any]]:
        """Yield what each page of a list has under `key`, up to 100 pages.

        Raises:
            UpstreamError, UnavailableError: as `request`.
        """
        params: dict[str, Any] = {}
        for _ in range(_MAX_PAGES):
            result = await self.request(method, params, timeout_secs)
            found = result.get(key)
            yield found if isinstance(found, list) else []
            cursor = result.get("nextCursor")
            if not isinstance(cursor, str):
                return
            params = {"cursor": cursor}

    def objection(self, tool: Mapping[str, Any]) -> str | None:
        """Return why a listed tool cannot be called over this connection."""
        return self._transport.objection(tool)

    async def is_alive(self, within_secs: float) -> bool:
        """Ask for a sign of life: any answer is one, also that the server knows no such request."""
        method = "server/discover" if self.is_modern else "ping"
        try:
            await self.request(method, {}, within_secs)
        except UpstreamError:
            return True
        except UnavailableError:
            return False
        return True

    async def ended(self) -> str:
        """Return why the connection ended, once it has."""
        await self._transport.ended.wait()
        return self._transport.fault or "the connection ended"

    async def keep_listening(self) -> None:
        """Have a server of the newer era tell of what changes, for ever; older ones do so unasked."""
        if self._listening is not None:
            await self._listening.keep()


@asynccontextmanager
async def connected(
    transport: Transport, *, legacy: bool, within_secs: float, noticed: Noticed, questions: Questions
) -> AsyncIterator[Connection]:
    """Connect for the length of the block. The same task must enter and leave it, and nobody cancel that task.

    Args:
        transport: what is opened, and closed at the end.
        legacy: use the handshake of before 2026 without asking what the server speaks.
        within_secs: how long the handshake may take.
        noticed: told of the server's notifications.
        questions: answers what the server asks; it is told what it can.

    Raises:
        FAILURES: the server could not be started, does not answer, or speaks something else; see `reason_of`.
    """

    async def handle(message: IncomingMessage) -> None:
        if isinstance(message, mcp_types.ServerNotification):
            told = _plain(message)
            noticed(told["method"], told.get("params") or {})

    mode: ConnectMode = "legacy" if legacy else "auto"
    client = Client(
        transport,
        mode=mode,
        client_info=_ABOUT_US,
        message_handler=handle,
        cache=None,
        read_timeout_seconds=within_secs,
        **_answers(questions, transport.requests),
    )
    async with client:
        yield Connection(client, transport, questions, noticed)


def _answers(questions: Questions, requests: Requests) -> dict[str, Any]:
    """Return what has the SDK's client declare what it can be asked, and hand that over."""

    def passing(method: str, result: type[pydantic.BaseModel]) -> Callable[..., Awaitable[Any]]:
        async def answer(_context: Any, params: Any = None) -> Any:
            try:
                with requests.holding():
                    found = await questions.answer(method, {} if params is None else _plain(params))
            except UpstreamError as error:
                return mcp_types.ErrorData(code=error.number, message=error.message, data=error.data)
            return result.model_validate(found, by_name=False)

        return answer

    return {
        callback: passing(method, result)
        for callback, method, result in (
            ("sampling_callback", "sampling/createMessage", mcp_types.CreateMessageResult),
            ("elicitation_callback", "elicitation/create", mcp_types.ElicitResult),
            ("list_roots_callback", "roots/list", mcp_types.ListRootsResult),
        )
        if method in questions.methods
    }


def reason_of(error: BaseException) -> str:
    """Return why connecting failed, in words: the first cause inside of what a task group made of it."""
    found = next(_leaves(error))
    if isinstance(found, PrxError):
        return found.message
    if isinstance(found, MCPError):
        return f"it answered the handshake with an error: {found}"
    if isinstance(found, TimeoutError):
        return "it does not answer the handshake in time"
    return f"the handshake failed: {found}" if str(found) else f"the handshake failed: {type(found).__name__}"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _modern_meta(version: str) -> dict[str, Any]:
    """Return what each request of the newer era carries, as it has no handshake."""
    return {
        mcp_types.PROTOCOL_VERSION_META_KEY: version,
        mcp_types.CLIENT_INFO_META_KEY: _plain(_ABOUT_US),
    }


def _plain(model: Any) -> dict[str, Any]:
    plain: dict[str, Any] = model.model_dump(by_alias=True, mode="json", exclude_none=True)
    return plain
