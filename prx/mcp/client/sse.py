"""An MCP server over HTTP with one stream for all its answers, as servers of before 2025 have it."""

import asyncio

import httpx2

from prx.core.errors import PrxError, UnavailableError
from prx.core.upstream import UpstreamError
from prx.mcp.client.answers import events_of
from prx.mcp.client.http import HttpTransport
from prx.mcp.client.http_wire import origin
from prx.mcp.client.oauth.logins import NeedsLoginError
from prx.mcp.client.requests import Message
from prx.mcp.client.streams import Inbox, Outbox


class SseTransport(HttpTransport):
    """One stream of one server, which names at its beginning where to post to."""

    async def __aenter__(self) -> tuple[Inbox, Outbox]:
        """Open the stream and wait until it says where messages go.

        Raises:
            UnavailableError: there is no such stream.
        """
        streams = await super().__aenter__()
        found: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._start(self._read(found))
        try:
            await found
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return streams

    async def _read(self, found: asyncio.Future[None]) -> None:
        """Deliver what the stream brings, until it ends and the connection with it."""
        fault = "its stream ended"
        try:
            async with await self._opened("GET", {"accept": "text/event-stream"}) as response:
                if not response.is_success:
                    fault = f"its stream cannot be opened: HTTP {response.status_code}"
                    return
                async for event in events_of(response):
                    if event.kind != "endpoint":
                        self._take_event(event, None)
                    elif not found.done():
                        self._wire.post_url = self._endpoint(event.data.decode())
                        found.set_result(None)
        except httpx2.HTTPError as error:
            fault = f"its stream broke off: {type(error).__name__} {error}".strip()
        except PrxError as error:
            fault = error.message
            self.needs_auth = isinstance(error, NeedsLoginError)
        finally:
            if not found.done():
                found.set_exception(UnavailableError(fault))
            self._end(fault)

    def _endpoint(self, text: str) -> httpx2.URL:
        """Return where the stream says that messages go.

        Raises:
            UpstreamError: that is somewhere else: what is sent was meant for this server.
        """
        url = self._wire.url.join(text)
        if origin(url) != origin(self._wire.url):
            raise UpstreamError(f"it wants messages sent to {origin(url)}", 0)
        return url

    async def _take(self, message: Message, response: httpx2.Response) -> None:
        """Take a refusal; answers come on the stream."""
        if response.is_error:
            await self._take_refusal(message, response)
