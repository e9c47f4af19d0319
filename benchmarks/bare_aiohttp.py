"""The floor: the least that a Python daemon with an HTTP port can be. Takes the port to listen on."""

import sys

import uvloop
from aiohttp import web


async def health(_request: web.Request) -> web.Response:
    """Answer as `/status/health` does."""
    return web.json_response({"healthy": True})


app = web.Application()
app.router.add_get("/health", health)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), loop=uvloop.new_event_loop(), print=None)
