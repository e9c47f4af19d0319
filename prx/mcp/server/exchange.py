"""One request on its way through an ASGI application, and the answer on its way back through aiohttp.

The application runs in a task of its own and not in the handler's: aiohttp cancels a handler whose client has gone,
where ASGI tells the application, which may go on for whoever comes back for the answer.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from aiohttp import hdrs, web

from prx.mcp.server.asking import Asking
from prx.mcp.server.caller import Caller

_STALLED_SECS: Final = 300.0
_STREAM: Final = b"text/event-stream"
# aiohttp's own business, as is the length of what it sends.
_NOT_PASSED_ON: Final = frozenset({b"connection", b"content-length"})

KEY: Final = "prx.exchange"
"""Where handlers find the exchange in the ASGI scope."""


class Exchange:
    """One HTTP request whose body has been read."""

    def __init__(
        self, request: web.Request, body: bytes, caller: Caller, *, stalled_secs: float = _STALLED_SECS
    ) -> None:
        """Take over `request`; a reader of the answer that takes nothing for `stalled_secs` is cut off."""
        self.request = request
        self.headers = request.headers
        self.body = body
        self.caller = caller
        self.call: asyncio.Task[dict[str, Any]] | None = None
        """A tool call that runs already, for which this request waits."""
        self.asking: Asking | None = None
        """What that call asks its client by."""
        self.status = 0
        """Of the answer, once it has one."""
        self.answer_headers: dict[str, str] = {}
        self.on_start: Callable[[Exchange], None] | None = None
        """Is called once status and headers of the answer are known, before the client sees them."""
        self._stalled_secs = stalled_secs
        self._body_given = False
        self._gone = asyncio.Event()
        self._complete = asyncio.Event()
        self._stream: web.StreamResponse | None = None
        self._content = bytearray()

    @property
    def is_stream(self) -> bool:
        """Whether it stays open to tell news, rather than to answer a call."""
        return self.request.method == hdrs.METH_GET

    def scope(self) -> dict[str, Any]:
        """Return the ASGI scope."""
        request = self.request
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.scheme,
            "path": request.path,
            "raw_path": request.rel_url.raw_path.encode(),
            "query_string": request.query_string.encode(),
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
            "client": tuple(peer[:2]) if isinstance(peer, tuple) else None,
            "server": None,
            KEY: self,
        }

    async def receive(self) -> dict[str, Any]:
        """Give the application the body, and then wait until the client has gone."""
        if not self._body_given:
            self._body_given = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take a part of the answer; it is dropped where the client has gone."""
        if self._gone.is_set():
            return
        if message["type"] == "http.response.start":
            await self._start(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body":
            await self._add(message.get("body", b""))
            if not message.get("more_body", False):
                self._complete.set()

    def leave(self) -> None:
        """Tell the application that nobody waits for its answer any more."""
        self._gone.set()

    async def answered(self, application: asyncio.Task[None]) -> web.StreamResponse:
        """Wait for the answer of `application`, the task in which it runs, and return it.

        Raises:
            Exception: what the application failed with before it answered.
        """
        complete = asyncio.create_task(self._complete.wait())
        try:
            await asyncio.wait({complete, application}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            complete.cancel()
            # Also where the client has gone, which aiohttp tells by cancelling this.
            self.leave()
        if self._stream is not None:
            return self._stream
        if not self.status:
            application.result()
            raise RuntimeError("the application ended without an answer")
        return web.Response(status=self.status, body=bytes(self._content), headers=self.answer_headers)

    async def _start(self, status: int, headers: Any) -> None:
        self.status = status
        kept = [(name.decode(), value.decode()) for name, value in headers if name not in _NOT_PASSED_ON]
        self.answer_headers = dict(kept)
        if self.on_start is not None:
            self.on_start(self)
        if any(name == b"content-type" and value.startswith(_STREAM) for name, value in headers):
            self._stream = web.StreamResponse(status=status, headers=self.answer_headers)
            await self._stream.prepare(self.request)

    async def _add(self, content: bytes) -> None:
        if self._stream is None:
            self._content += content
        elif content:
            try:
                async with asyncio.timeout(self._stalled_secs):
                    await self._stream.write(content)
            except (ConnectionError, TimeoutError):
                self.leave()
                if self.request.transport is not None:
                    self.request.transport.abort()
