"""Which web pages may call the API from a browser: none, unless the operator names their origins."""

from collections.abc import Iterable, Mapping
from typing import Final

from aiohttp import hdrs, web

_ANY: Final = "*"
_PREFLIGHT_HEADERS: Final = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, POST, PUT, PATCH, DELETE",
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: (
        "Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, Mcp-Method, Mcp-Name, "
        "Mcp-Protocol-Version, Mcp-Session-Id, X-Request-Id"
    ),
    hdrs.ACCESS_CONTROL_MAX_AGE: "600",
}
_EXPOSED: Final = (
    "X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, ETag, "
    "Mcp-Session-Id"
)


class CorsPolicy:
    """Cross-origin rules. There are no cookies to protect: a page still needs a token of its own."""

    def __init__(self, origins: Iterable[str]) -> None:
        """Allow `origins` as a browser writes them, or every one by `*`."""
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def allows(self, origin: str) -> bool:
        """Tell whether a page of `origin` may call."""
        return _ANY in self._origins or origin.lower() in self._origins

    def headers_for(self, request: web.BaseRequest) -> Mapping[str, str]:
        """Return what lets the page that sent `request` read the answer; nothing for another's page."""
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is None or not self.allows(origin):
            return {hdrs.VARY: hdrs.ORIGIN}
        return {
            hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin,
            hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: _EXPOSED,
            hdrs.VARY: hdrs.ORIGIN,
        }

    def preflight(self, request: web.BaseRequest) -> web.Response | None:
        """Answer the question that a browser asks before a request; None if `request` asks none."""
        if request.method != hdrs.METH_OPTIONS or hdrs.ACCESS_CONTROL_REQUEST_METHOD not in request.headers:
            return None
        if hdrs.ACCESS_CONTROL_ALLOW_ORIGIN not in self.headers_for(request):
            return None
        return web.Response(status=204, headers=_PREFLIGHT_HEADERS)
