"""Requests to a platform's HTTP API: bounded, and with errors in words of our own, since aiohttp's may show a token."""

import asyncio
import io
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import aiohttp
from yarl import URL

from prx.core.channel import Server
from prx.core.channel_errors import FileTooLargeError
from prx.core.errors import UnavailableError
from prx.core.file import File

_CONNECT_SECS: Final = 10.0
_MAX_ANSWER_BYTES: Final = 16 << 20
_CHUNK_BYTES: Final = 64 << 10
_MOST_PAUSE_SECS: Final = 3600.0


class HttpAnswer(NamedTuple):
    """What a platform answered."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """The JSON value, or None where it was none."""


class HttpClient:
    """Requests to one platform, and its WebSockets. Every method raises UnavailableError where there is no answer."""

    def __init__(self, base_url: str, headers: Mapping[str, str] | None = None) -> None:
        """Talk to `base_url`, with `headers` in each request there."""
        self.base_url = URL(base_url.rstrip("/"))
        self._headers = dict(headers or {})
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        """Be ready for requests."""
        # By name: aiohttp would take another resolver, with threads of its own, where a library brought it along.
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._session = await self._stack.enter_async_context(session)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._stack.__aexit__(kind, error, trace)

    async def request(
        self,
        method: str,
        path: str,
        *,
        within_secs: float,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Make a request to a path below the base, and return the whole answer.

        Args:
            method: of HTTP.
            path: with its slash; it may have a query.
            within_secs: that all of it may take.
            body: a `FormData` as it is, anything else as JSON; None sends none.
            headers: more of them.
        """
        url = URL(f"{self.base_url}{path}", encoded=True)
        content: dict[str, Any] = {"data" if isinstance(body, aiohttp.FormData) else "json": body}
        async with (
            self._answered(url, within_secs),
            self._session.request(
                method,
                url,
                **(content if body is not None else {}),
                headers={**self._headers, **(headers or {})},
                allow_redirects=False,
                timeout=_timeout(within_secs),
            ) as response,
        ):
            text = await _read(response, _MAX_ANSWER_BYTES)
            return HttpAnswer(response.status, response.headers, json_of(text))

    async def post_file(self, url: str, file: File, *, within_secs: float) -> HttpAnswer:
        """Post a file to `url`, which may be anywhere: nothing but the file is told there."""
        form = aiohttp.FormData()
        add_file(form, "file", file)
        where = URL(url)
        async with (
            self._answered(where, within_secs),
            self._session.post(
                where, data=form, allow_redirects=False, timeout=_timeout(within_secs)
            ) as response,
        ):
            return HttpAnswer(response.status, response.headers, None)

    async def download(
        self, url: str, max_bytes: int, *, within_secs: float, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Return what is at `url`, which may be anywhere: nothing but `headers` is told there.

        Raises:
            FileTooLargeError: it has more than `max_bytes`.
        """
        where = URL(url)
        async with (
            self._answered(where, within_secs),
            self._session.get(
                where, headers=headers, allow_redirects=False, timeout=_timeout(within_secs)
            ) as response,
        ):
            if response.status != 200:  # noqa: PLR2004  # OK
                raise UnavailableError(f"{where.host} answered {response.status} for the file")
            return await _read(response, max_bytes)

    @asynccontextmanager
    async def websocket(
        self, url: str, *, within_secs: float, close_code: int = aiohttp.WSCloseCode.OK
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Have a WebSocket for the length of the block, whose errors are translated as well.

        Pings are among what it receives, for who reads to answer. `within_secs` bounds the connecting, and is what a
        TimeoutError of the block is told as.
        """
        where = URL(url)
        async with self._answered(where, within_secs):
            async with asyncio.timeout(within_secs):
                opened = await self._session.ws_connect(
                    where,
                    autoping=False,
                    autoclose=True,
                    max_msg_size=_MAX_ANSWER_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
            try:
                yield opened
            finally:
                await opened.close(code=close_code)

    @asynccontextmanager
    async def _answered(self, url: URL, within_secs: float) -> AsyncIterator[None]:
        if self._session.closed:
            raise UnavailableError(f"the connection to {url.host} was ended")
        try:
            yield
        except TimeoutError as error:
            raise UnavailableError(f"{url.host} did not answer within {within_secs:g} s") from error
        except aiohttp.ClientConnectorError as error:
            raise UnavailableError(f"{url.host} cannot be reached: {_reason(error.os_error)}") from error
        except aiohttp.WSServerHandshakeError as error:
            raise UnavailableError(f"{url.host} refused a WebSocket with {error.status}") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise UnavailableError(f"{url.host} closed the connection ({type(error).__name__})") from error


def add_file(form: aiohttp.FormData, field: str, file: File) -> None:
    """Have a form hold a file; as a stream, since aiohttp would send large bytes in one piece, and warns of it."""
    form.add_field(field, io.BytesIO(file.content), filename=file.name, content_type=file.media_type)


def json_of(text: str | bytes) -> Any:
    """Return a JSON value; None where it is none, or nested deeper than what platforms say ever is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def pause_secs(told: object, usual: float) -> float:
    """Return how long a platform wants to be left alone, an hour at most; `usual` where it does not tell in seconds."""
    try:
        secs = float(told)  # type: ignore[arg-type]  # it may be anything
    except (TypeError, ValueError, OverflowError):
        return usual
    return min(secs, _MOST_PAUSE_SECS) if secs >= 0 else usual


def http_server(url: str) -> Server:
    """Return the server at `url`."""
    where = URL(url)
    hello = f"HEAD / HTTP/1.1\r\nHost: {where.authority}\r\nConnection: close\r\n\r\n"
    return Server(where.host or "", where.port or 0, tls=where.scheme == "https", hello=hello.encode())


def is_below(url: str, base_url: str) -> bool:
    """Tell whether `url` is at the server of `base_url`."""
    return URL(url).origin() == URL(base_url).origin()


def _timeout(within_secs: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=within_secs, connect=min(within_secs, _CONNECT_SECS))


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    if isinstance(error, socket.gaierror) or not error.errno:
        return "it has no address"
    return os.strerror(error.errno)


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        content += chunk
        if len(content) > max_bytes:
            raise FileTooLargeError(f"what {response.url.host} sends has more than {max_bytes:,} bytes")
    return bytes(content)
