"""`/channels/{name}`, outside `/api/v1`: where platforms push messages to; the channel itself checks who sent them."""

from typing import Final

from aiohttp import hdrs, web

from prx.api.deps import CHANNELS
from prx.api.edge import Edge
from prx.api.expectations import known_expectation
from prx.api.routes import SIGNED
from prx.core.channel import PushedRequest
from prx.core.errors import BadRequestError

PATHS: Final = ("/channels/{name}", "/channels/{name}/{path:.*}")


def mount_channels(app: web.Application, edge: Edge) -> None:
    """Add the paths to `app`, for the methods that platforms use."""

    async def push(request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except web.RequestPayloadError as error:
            raise BadRequestError("The request's body does not match its headers") from error
        pushed = PushedRequest(
            method=request.method,
            path=request.match_info.get("path", ""),
            query=[*request.query.items()],
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
        )
        answer = await request.app[CHANNELS].pushed(request.match_info["name"], pushed)
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    handler = edge.guarded(push, SIGNED)
    for path in PATHS:
        for method in (hdrs.METH_GET, hdrs.METH_POST):
            app.router.add_route(method, path, handler, expect_handler=known_expectation)
