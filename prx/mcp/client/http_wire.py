"""HTTP requests to one MCP server: in its session, as who is logged in there, and to its origin alone."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final

import httpx2
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER

from prx.config.integrations import McpServerConfig
from prx.core.upstream import UpstreamError
from prx.mcp.client.oauth.bearer import Bearer
from prx.mcp.client.tls import tls_context

SESSION: Final = "mcp-session-id"
JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
_CONNECT_SECS: Final = 10.0
_WRITE_SECS: Final = 30.0
_FAREWELL_SECS: Final = 2.0
_MAX_REDIRECTS: Final = 3
_KEPT_METHOD: Final = frozenset({307, 308})
_REDIRECT, _BAD = 300, 400


class HttpWire:
    """The way to one server."""

    session_id: str | None = None
    """Of the session that the server opened, where it did."""
    version: str | None = None
    """Of the protocol, once it is known."""

    def __init__(self, config: McpServerConfig, bearer: Bearer) -> None:
        """Reach `config.url` as `bearer`."""
        self._config = config
        self._bearer = bearer
        self._client: httpx2.AsyncClient
        self.url = self.post_url = httpx2.URL(config.url or "")
        """Where streams are opened, and where messages are posted."""

    async def open(self) -> None:
        """Make the client; nothing is sent yet."""
        await self._bearer.open()
        headers = {name: value.get_secret_value() for name, value in self._config.headers.items()}
        self._client = httpx2.AsyncClient(
            # What is compressed could be any size.
            headers={"accept-encoding": "identity", **headers},
            verify=await asyncio.to_thread(tls_context),
            # How long an answer may take is up to who waits for it.
            timeout=httpx2.Timeout(None, connect=_CONNECT_SECS, write=_WRITE_SECS),
            limits=httpx2.Limits(max_connections=None),
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._bearer.aclose()
        await self._client.aclose()

    async def say_goodbye(self) -> None:
        """End the session, where there is one, in bounded time."""
        if self.session_id is None:
            return
        with suppress(TimeoutError, httpx2.HTTPError):
            async with asyncio.timeout(_FAREWELL_SECS):
                await self._client.delete(self.url, headers={**self._own_headers(), **self._bearer.headers})

    async def opened(self, method: str, headers: Mapping[str, str], content: bytes | None = None) -> "Opened":
        """Send a request, and again where it is redirected within its origin; its body is still to be read.

        Raises:
            UpstreamError: it is redirected elsewhere.
            httpx2.HTTPError: it is not answered.
            PrxError: see `Bearer.send`.
        """
        url = self.url if method == "GET" else self.post_url
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._authorized(method, url, {**self._own_headers(), **headers}, content)
            if not _REDIRECT <= response.status_code < _BAD:
                return Opened(response)
            await response.aclose()
            target = url.join(response.headers.get("location", ""))
            if response.status_code not in _KEPT_METHOD or origin(target) != origin(url):
                break
            url = target
        raise UpstreamError(f"it redirects to {origin(target)}: set the url to where it is", 0)

    async def _authorized(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], content: bytes | None
    ) -> httpx2.Response:
        """Send a request as whom we are logged in; raises as `Bearer.send`."""

        async def attempt(token: Mapping[str, str]) -> httpx2.Response:
            request = self._client.build_request(method, url, content=content, headers={**headers, **token})
            return await self._client.send(request, stream=True, follow_redirects=False)

        return await self._bearer.send(attempt)

    def _own_headers(self) -> dict[str, str]:
        headers = {"accept": f"{JSON}, {EVENTS}", "content-type": JSON}
        if self.session_id is not None:
            headers[SESSION] = self.session_id
        if self.version is not None:
            headers[MCP_PROTOCOL_VERSION_HEADER] = self.version
        return headers


class Opened:
    """A response whose body is closed at the end of the block."""

    def __init__(self, response: httpx2.Response) -> None:
        """Hold `response`."""
        self._response = response

    async def __aenter__(self) -> httpx2.Response:
        """Return it."""
        return self._response

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close its body."""
        await self._response.aclose()


def origin(url: httpx2.URL) -> str:
    """Return scheme, host and port, without user and password."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
