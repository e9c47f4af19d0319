"""The edge of the port: one function through which every request and every answer goes.

It stands around each handler rather than in an aiohttp middleware, which costs a tenth of a small answer.

In order: id, rate limit, Host, Origin, readiness, token, scope, body, time limit. Around all of it the error
envelope.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import ceil
from typing import Final

from aiohttp import hdrs, web

from prx.api.cors import CorsPolicy
from prx.api.deadlines import DeadlineError, Deadlines
from prx.api.deps import REQUEST_ID, TOKEN, ApiDeps
from prx.api.errors import InternalError, RateExceededError, is_internal, of_http, response_of
from prx.api.expectations import ask_for_body
from prx.api.hosts import HostPolicy, client_address, is_same_origin
from prx.api.ratelimit import RateLimiter
from prx.api.routes import ANY_TOKEN, UNMATCHED, Guard, Handler
from prx.api.tokens_file import Token
from prx.api.traffic import Traffic
from prx.api.turn import Turn
from prx.config.schema import Config
from prx.core.errors import ForbiddenError, PrxError, UnauthorizedError, UnavailableError
from prx.core.ids import new_id
from prx.runtime.logging import get_logger

BEARER_PROTOCOL: Final = "bearer."
"""What a subprotocol begins with that is a token."""
_HEADERS: Final = web.RequestKey("HEADERS", dict[str, str])
_SANE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")
_FIXED_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "prx",
}
# More than can come in a window, so that none that counts is forgotten for another's sake. Those that are over go by
# themselves.
_MAX_TOKEN_BUCKETS: Final = 32768
_MAX_ADDRESS_BUCKETS: Final = 32768

# Made at every request: a random part for the process and a number cost a tenth of random bits each time.
_ID_PREFIX: Final = f"{new_id('req')}-"
_id_numbers: Final = count(1)

_log = get_logger("api::edge")


@dataclass(frozen=True, slots=True)
class _Settings:
    """What the edge needs of one configuration, worked out once for each."""

    config: Config
    hosts: HostPolicy
    cors: CorsPolicy | None
    """None where no page of another origin may call, so that no request pays for it."""
    limits: Mapping[str, int]
    trust_forwarded: bool
    metrics_public: bool
    timeout_secs: float

    @classmethod
    def of(cls, config: Config) -> "_Settings":
        gateway = config.gateway
        return cls(
            config=config,
            hosts=HostPolicy(gateway.host, gateway.allowed_hosts),
            cors=CorsPolicy(gateway.cors.allowed_origins) if gateway.cors.allowed_origins else None,
            limits=gateway.rate_limits.model_dump(),
            trust_forwarded=gateway.trust_forwarded_headers,
            metrics_public=gateway.metrics_public,
            timeout_secs=gateway.request_timeout_secs,
        )


class Edge:
    """Admits or refuses every request, and dresses every answer."""

    def __init__(self, deps: ApiDeps) -> None:
        """Start with no guarded routes."""
        self._tokens = deps.tokens
        self._turn = Turn()
        self._status = deps.status
        self._config = deps.config
        self._settings = _Settings.of(deps.config())
        self._deadlines = Deadlines()
        self._is_cut_off = False
        self.traffic = Traffic()
        """What came and how it was answered, but for bytes that are not HTTP."""
        self._guards: dict[Handler, Guard] = {}
        self._by_token = RateLimiter(_MAX_TOKEN_BUCKETS, deps.clock)
        self._by_address = RateLimiter(_MAX_ADDRESS_BUCKETS, deps.clock)

    def guarded(
        self, handler: Handler, scope: str, *, metrics: bool = False, socket: bool = False
    ) -> Handler:
        """Return what lets only tokens with `scope` through to `handler`, and counts the requests to it.

        Where it tells `metrics`, everybody is let through while these are public; to a `socket` a token may come as the
        subprotocol `bearer.<token>`.
        """
        guard = Guard.of(scope, metrics=metrics, socket=socket)
        guarded = self.traffic.counted(partial(self._serve, guard, handler))
        self._guards[guarded] = guard
        return guarded

    def check_covers(self, app: web.Application) -> None:
        """Refuse an application with a route that anybody could call.

        Raises:
            ValueError: a route of `app` or of its sub-apps declares no scope.
        """
        for route in app.router.routes():
            if route.handler not in self._guards:
                raise ValueError(f"route {route!r} declares no scope; declare it with prx.api.routes.Routes")

    def lift_deadline(self) -> None:
        """Let the request of the current task take as long as it likes: its answer is a stream."""
        self._deadlines.lift()

    def cut_off(self) -> None:
        """Give up every request in flight, because the daemon stops; its streams are ended by who has them."""
        self._is_cut_off = True
        self._deadlines.end_all()

    def still_admits(self, request: web.Request) -> bool:
        """Tell whether the token of a request that was let in would be let in now."""
        return self.admission(request)()

    def admission(self, request: web.Request) -> Callable[[], bool]:
        """Return what tells whether the token of a request that was let in would be let in now, without keeping it."""
        guard = self._guards[request.match_info.handler]
        scope, secret = guard.scope, _secret_of(request, guard)

        def admitted() -> bool:
            token = None if secret is None else self._tokens.authenticate(secret)
            return token is not None and (scope == ANY_TOKEN or scope in token.granted)

        return admitted

    async def turn_away(self, error: web.HTTPException, request: web.Request) -> web.StreamResponse:
        """Answer what aiohttp refuses before any handler, such as an unknown path, after the same checks."""

        async def refuse(_request: web.BaseRequest) -> web.StreamResponse:
            raise error

        return await self.traffic.count_unmatched(partial(self._serve, UNMATCHED, refuse), request)

    async def dress(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Put the headers of every answer on `response`; the application's `on_response_prepare`."""
        headers = request.get(_HEADERS)
        if headers is not None:
            response.headers.update(headers)

    def refuse(self, request: web.BaseRequest, error: Exception) -> web.Response:
        """Answer what never reaches a handler of the edge, such as bytes that are not HTTP."""
        headers = _opened(request)
        try:
            self._count(request, None, UNMATCHED, headers)
        except RateExceededError as exceeded:
            error = exceeded
        response = self._refusal(request, error)
        response.headers.update(headers)
        return response

    async def _serve(self, guard: Guard, handler: Handler, request: web.Request) -> web.StreamResponse:
        """Serve one request; every failure becomes the envelope."""
        headers = _opened(request)
        request[_HEADERS] = headers
        try:
            settings = self._admit(request, guard, headers)
            if settings.cors is not None and (answer := settings.cors.preflight(request)) is not None:
                return answer
            if request.body_exists:
                await ask_for_body(request)
            return await self._deadlines.within(settings.timeout_secs, handler, request)
        except DeadlineError:
            return self._refusal(request, self._given_up())
        except web.HTTPException as error:
            return self._refusal(request, of_http(error, request))
        except Exception as error:  # noqa: BLE001 - the request handler's edge: no failure leaves unwrapped
            return self._refusal(request, error)

    def _admit(self, request: web.Request, guard: Guard, headers: dict[str, str]) -> _Settings:
        settings = self._current()
        if settings.cors is not None:
            headers.update(settings.cors.headers_for(request))
        secret = _secret_of(request, guard)
        token = None if secret is None or guard.probe else self._token(secret)
        self._count(request, token, guard, headers)
        if guard.probe:
            return settings
        _check_addressed(request, settings)
        if not self._status.ready:
            raise UnavailableError("The daemon is starting or stopping; try again shortly")
        if guard.scope is not None and not (guard.metrics and settings.metrics_public):
            request[TOKEN] = _authorized(token, secret, guard.scope)
        return settings

    def _token(self, secret: str) -> Token | None:
        # Looking at the file costs as much as all other checks: many requests at once do it together.
        if self._turn.begins():
            self._tokens.refresh()
        return self._tokens.find(secret)

    def _current(self) -> _Settings:
        config = self._config()
        if config is not self._settings.config:
            self._settings = _Settings.of(config)
        return self._settings

    def _count(
        self, request: web.BaseRequest, token: Token | None, guard: Guard, headers: dict[str, str]
    ) -> None:
        limit = self._settings.limits[guard.group]
        if limit == 0:
            return
        if token is not None:
            limiter, who = self._by_token, token.id
        else:
            limiter, who = self._by_address, self._address(request)
        key = (guard.group, who)
        quota = limiter.peek(key, limit) if guard.probe else limiter.hit(key, limit)
        headers["X-RateLimit-Limit"] = str(limit)
        headers["X-RateLimit-Remaining"] = str(quota.remaining)
        headers["X-RateLimit-Reset"] = str(ceil(time.time() + quota.reset_in_secs))
        if not quota.allowed:
            raise RateExceededError(limit, guard.group, max(1, ceil(quota.next_in_secs)))

    def _given_up(self) -> UnavailableError:
        if self._is_cut_off:
            return UnavailableError("The daemon stopped before the request was done; it may be done in part")
        return UnavailableError(
            f"The request took longer than {self._settings.timeout_secs} s and was given up; "
            "[gateway] request_timeout_secs sets the limit"
        )

    def _address(self, request: web.BaseRequest) -> str:
        trusted = self._settings.trust_forwarded
        hops = request.headers.getall("X-Forwarded-For", ()) if trusted else ()
        return client_address(request.remote, hops[-1] if hops else None)

    def _refusal(self, request: web.BaseRequest, error: Exception) -> web.Response:
        refusal = _judged(request, error)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already; only closing is left") from error
        response = response_of(refusal)
        if not self._status.ready:
            response.force_close()
        return response


def _judged(request: web.BaseRequest, error: Exception) -> PrxError:
    """Log `error`, and return what of it the caller may know."""
    request_id = request[REQUEST_ID]
    if isinstance(error, PrxError) and not is_internal(error):
        _log.debug("refused", request_id=request_id, code=error.code, reason=error.message)
        return error
    _log.error(
        "request failed", request_id=request_id, method=request.method, path=request.path, exc_info=error
    )
    return (
        InternalError(request_id, error.message) if isinstance(error, PrxError) else InternalError(request_id)
    )


def _opened(request: web.BaseRequest) -> dict[str, str]:
    given = request.headers.get("X-Request-Id")
    sane = given is not None and _SANE_REQUEST_ID.fullmatch(given)
    request[REQUEST_ID] = request_id = given if given and sane else f"{_ID_PREFIX}{next(_id_numbers):x}"
    return {"X-Request-Id": request_id, **_FIXED_HEADERS}


def _check_addressed(request: web.Request, settings: _Settings) -> None:
    host, origin = request.headers.get(hdrs.HOST), request.headers.get(hdrs.ORIGIN)
    if not settings.hosts.allows(host):
        raise ForbiddenError(
            "The Host header names neither the address the daemon listens on nor localhost; "
            "[gateway] allowed_hosts adds names"
        )
    if origin is None or is_same_origin(origin, host):
        return
    if settings.cors is None or not settings.cors.allows(origin):
        raise ForbiddenError(
            "A web page of another origin sent this; [gateway.cors] allowed_origins names those that may"
        )


def _secret_of(request: web.Request, guard: Guard) -> str | None:
    secret = _bearer(request.headers.get(hdrs.AUTHORIZATION))
    if secret is None and guard.socket:
        named = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")
        prefixed = (name.strip() for name in named if name.strip().startswith(BEARER_PROTOCOL))
        secret = next(prefixed, "").removeprefix(BEARER_PROTOCOL) or None
    return secret


def _bearer(authorization: str | None) -> str | None:
    if authorization is None:
        return None
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def _authorized(token: Token | None, secret: str | None, scope: str) -> Token:
    if secret is None:
        raise UnauthorizedError(
            "No bearer token; send Authorization: Bearer <token>. `prx auth token` prints a new one"
        )
    if token is None:
        raise UnauthorizedError("The token is unknown, revoked or expired; `prx auth token` prints a new one")
    if scope != ANY_TOKEN and scope not in token.granted:
        raise ForbiddenError(f'Token "{token.name}" lacks the scope {scope}', details={"scope": scope})
    return token
