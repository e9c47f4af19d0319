"""Where the browser comes back to after a login: a server on the loopback for as long as one login takes."""

import asyncio
import html
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from prx.core.errors import ConflictError, PrxError

_HOST: Final = "127.0.0.1"
_PATH: Final = "/callback"
_MAX_VALUE_CHARS: Final = 4096
_CLOSE_SECS: Final = 1.0
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Referrer-Policy": "no-referrer",
    "Connection": "close",
}
_PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>PRX</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto; padding: 0 1rem }}</style>
<h1>{title}</h1><p>{text}</p></html>
"""


class Callback:
    """One wait for a browser."""

    def __init__(self) -> None:
        """Use `listening`."""
        self.redirect_uri = ""
        self._state: str | None = None
        self._came: asyncio.Future[Mapping[str, str]] = asyncio.get_running_loop().create_future()

    def expect(self, state: str) -> None:
        """Take what comes with `state`, and send away whoever comes with another one."""
        self._state = state

    async def wait(self, within_secs: float) -> Mapping[str, str]:
        """Return what the browser brings.

        Raises:
            PrxError: nobody came in time.
        """
        try:
            async with asyncio.timeout(within_secs):
                return await self._came
        except TimeoutError:
            raise PrxError(
                f"nobody logged in within {within_secs:g} s: run the command again, and open the address that it prints"
            ) from None

    async def answer(self, request: web.Request) -> web.Response:
        """Take what the browser brings."""
        brought = {key: value[:_MAX_VALUE_CHARS] for key, value in request.query.items()}
        state = brought.get("state", "").encode()
        if self._state is None or not secrets.compare_digest(state, self._state.encode()):
            text = "This is not the answer to the login that waits here. Open the address that the terminal shows."
            return _page(400, "Not this login", text)
        if not self._came.done():
            self._came.set_result(brought)
        if "error" in brought:
            return _page(200, "Not logged in", "The login was refused. The terminal says why.")
        return _page(
            200, "Almost there", "You can close this page: the terminal shows whether the login is made."
        )


@asynccontextmanager
async def listening(port: int | None) -> AsyncIterator[Callback]:
    """Wait for a browser on the loopback for the length of the block, at `port` or a free one.

    Raises:
        ConflictError: `port` is taken.
    """
    callback = Callback()
    app = web.Application()
    app.router.add_get(_PATH, callback.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_SECS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, _HOST, port or 0).start()
        except OSError as error:
            raise ConflictError(
                f"port {port} of {_HOST}, where the browser comes back to, cannot be opened: {error.strerror}: end "
                "what uses it, or change oauth.redirect_port here and at the authorization server"
            ) from error
        callback.redirect_uri = f"http://{_HOST}:{runner.addresses[0][1]}{_PATH}"
        yield callback
    finally:
        await runner.cleanup()


def _page(status: int, title: str, text: str) -> web.Response:
    page = _PAGE.format(title=html.escape(title), text=html.escape(text))
    return web.Response(status=status, text=page, content_type="text/html", headers=_HEADERS)
