"""The floor of `GET /status`: one aiohttp handler that answers with the bytes of a file. Takes file and port."""

import sys
from pathlib import Path

import uvloop
from aiohttp import web

_BODY = Path(sys.argv[1]).read_bytes()


async def health(_request: web.Request) -> web.Response:
    """Say that it serves."""
    return web.json_response({"healthy": True})


async def status(_request: web.Request) -> web.Response:
    """Answer what never changes."""
    return web.Response(body=_BODY, content_type="application/json")


app = web.Application()
app.router.add_get("/health", health)
app.router.add_get("/status", status)
web.run_app(
    app,
    host="127.0.0.1",
    port=int(sys.argv[2]),
    loop=uvloop.new_event_loop(),
    print=None,
    access_log=None,
)
