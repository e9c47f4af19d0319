"""Requests to authorization servers: bounded in time and size, never redirected, and secrets never in the clear."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from prx.config.types import is_loopback
from prx.core.errors import PrxError, UnavailableError

_MAX_BYTES: Final = 256 * 1024
_MAX_SECS: Final = 20.0


class Web:
    """What one login, or one renewal of it, asks."""

    def __init__(self, client: httpx2.AsyncClient, server_url: str) -> None:
        """Use `browsing`; `server_url` is the MCP server that the login is for."""
        self._client = client
        self._server_url = server_url

    async def ask(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        whole: bool = True,
    ) -> httpx2.Response:
        """Return the answer, read; without its body where not `whole`.

        Args:
            method: GET or POST.
            url: where to.
            form: what is sent as a form.
            body: what is sent as JSON, where there is no `form`.
            headers: sent with it.
            whole: whether the body is wanted.

        Raises:
            PrxError: the address is one that no secret may be sent to.
            UnavailableError: there is no answer, or a larger one than is read.
        """
        self.check(url)
        request = self._client.build_request(method, url, data=form, json=body, headers=headers)
        try:
            async with asyncio.timeout(_MAX_SECS):
                response = await self._client.send(request, stream=True)
                try:
                    content = await _content(response) if whole else b""
                finally:
                    await response.aclose()
        except (httpx2.HTTPError, TimeoutError) as error:
            reason = f"{type(error).__name__} {error}".strip()
            raise UnavailableError(f"{shown(url)} does not answer: {reason}") from error
        kept = httpx2.Headers(response.headers)
        kept.pop("content-encoding", None)
        return httpx2.Response(response.status_code, headers=kept, content=content, request=request)

    def check(self, url: str) -> None:
        """Let pass what is encrypted, or stays where the MCP server itself is reached without that.

        Raises:
            PrxError: it is another address.
        """
        asked, server = urlsplit(url), urlsplit(self._server_url)
        host, server_host = asked.hostname or "", server.hostname or ""
        is_near = host == server_host or (is_loopback(host) and is_loopback(server_host))
        if asked.scheme == "https" or (asked.scheme == server.scheme == "http" and is_near):
            return
        raise PrxError(f"{shown(url)} is not used to log in: it is not encrypted (https)")


@asynccontextmanager
async def browsing(server_url: str, tls: ssl.SSLContext) -> AsyncIterator[Web]:
    """Ask what a login at `server_url` takes, for the length of the block."""
    async with httpx2.AsyncClient(
        headers={"accept": "application/json", "accept-encoding": "identity"},
        verify=tls,
        timeout=_MAX_SECS,
        follow_redirects=False,
    ) as client:
        yield Web(client, server_url)


def shown(url: str) -> str:
    """Return scheme, host, port and path of `url`: what may be shown of it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def _content(response: httpx2.Response) -> bytes:
    content = bytearray()
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > _MAX_BYTES:
            raise UnavailableError(f"{shown(str(response.url))} answers with more than {_MAX_BYTES} bytes")
    return bytes(content)
