"""How views declare their routes: a method, a path, the scope that a token needs, and what is taken and answered."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar, Unpack, overload

from aiohttp import web
from pydantic import BaseModel

from prx.api.bodies import read_body, read_query
from prx.api.contract import Contract, Promises
from prx.api.scopes import ALL_SCOPES
from prx.api.uploads import parts_of
from prx.config.schema import RateLimitsConfig
from prx.plugins.installer import Part

_Model = TypeVar("_Model", bound=BaseModel)
_Read = TypeVar("_Read")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
View = Callable[[web.Request, _Read], Awaitable[web.StreamResponse]]
"""A handler that is given what was read from the request, too."""

PUBLIC: Final = "public"
"""A scope that needs no token. Only for load balancers' probes: such a route is never limited either."""
SIGNED: Final = "signed"
"""The scope of what asks for no token: the handler itself finds out who sent the request."""
ANY_TOKEN: Final = "any-token"  # noqa: S105 - the name of an access rule
"""A scope that every valid token has."""


@dataclass(frozen=True, slots=True)
class Route:
    """One declared route."""

    method: str
    path: str
    handler: Handler
    scope: str
    view: Callable[..., Awaitable[web.StreamResponse]]
    """The function that was declared, whose name and docstring describe the route."""
    contract: Contract


@dataclass(frozen=True, slots=True)
class Guard:
    """What one route demands of a request."""

    scope: str | None
    """The scope that a token needs, None where no token is asked for."""
    group: str
    """The group of rate limits, a key of `gateway.rate_limits`."""
    probe: bool = False
    """A load balancer's probe: served to any Host, at any rate, ready or not."""
    metrics: bool = False
    """Asks for no token while `gateway.metrics_public`."""
    socket: bool = False
    """For WebSockets, whose token may come as a subprotocol: a browser sends no other header with it."""

    @classmethod
    def of(cls, scope: str, *, metrics: bool = False, socket: bool = False) -> "Guard":
        """Return the guard of a route declared with `scope`."""
        group = scope.replace(":", "_")
        return cls(
            scope=None if scope in (PUBLIC, SIGNED) else scope,
            group=group if group in RateLimitsConfig.model_fields else "other",
            probe=scope == PUBLIC,
            metrics=metrics,
            socket=socket,
        )


UNMATCHED: Final = Guard(scope=None, group="other")
"""What a request to no route at all meets."""


class Routes:
    """The routes of one resource, in the order of their declaration."""

    def __init__(self) -> None:
        """Start with none."""
        self._routes: list[Route] = []
        self.get = Method(self._routes, "GET", "HEAD")
        """Declares a `GET`, and the `HEAD` that goes with it."""
        self.post = Method(self._routes, "POST")
        self.put = Method(self._routes, "PUT")
        self.delete = Method(self._routes, "DELETE")
        self.patch = Method(self._routes, "PATCH")

    def __iter__(self) -> Iterator[Route]:
        """Iterate over the declared routes."""
        return iter(self._routes)


class Method:
    """Declares routes of one method."""

    def __init__(self, routes: list[Route], *methods: str) -> None:
        """Declare into `routes`."""
        self._routes = routes
        self._methods = methods

    @overload
    def __call__(
        self, path: str, *, scope: str, **promises: Unpack[Promises]
    ) -> Callable[[Handler], Handler]: ...

    @overload
    def __call__(
        self,
        path: str,
        *,
        scope: str,
        body: type[_Model],
        body_required: bool = True,
        **promises: Unpack[Promises],
    ) -> Callable[[View[_Model]], View[_Model]]: ...

    @overload
    def __call__(
        self, path: str, *, scope: str, query: type[_Model], **promises: Unpack[Promises]
    ) -> Callable[[View[_Model]], View[_Model]]: ...

    @overload
    def __call__(
        self, path: str, *, scope: str, upload: int, **promises: Unpack[Promises]
    ) -> Callable[[View[AsyncGenerator[Part, None]]], View[AsyncGenerator[Part, None]]]: ...

    def __call__(
        self, path: str, *, scope: str, **declared: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Declare the decorated view as what answers `path`.

        It is given the request and, where one is declared, the `body`, `query` or `upload` as it was read; what does
        not fit is refused before. `Contract` explains each argument.

        Raises:
            ValueError: there is no such scope.
        """
        if scope not in ALL_SCOPES | {PUBLIC, ANY_TOKEN}:
            raise ValueError(f'{self._methods[0]} {path}: unknown scope "{scope}"')
        contract = Contract.of(**declared)

        def register(view: Callable[..., Awaitable[web.StreamResponse]]) -> Callable[..., Any]:
            handler = _reading(contract, view)
            self._routes.extend(
                Route(method, path, handler, scope, view, contract) for method in self._methods
            )
            return view

        return register


def _reading(contract: Contract, view: Callable[..., Awaitable[web.StreamResponse]]) -> Handler:
    """Return the handler that gives `view` what is to be read; `view` itself, at no cost, where that is nothing."""
    if contract.body is not None:
        return _with_body(contract.body, view, required=contract.body_required)
    if contract.query is not None:
        return _with_query(contract.query, view)
    return view if contract.upload is None else _with_upload(contract.upload, view)


def _with_body(model: type[_Model], view: View[_Model], *, required: bool) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        body = await read_body(request, model) if required or request.body_exists else model()
        return await view(request, body)

    return handler


def _with_query(model: type[_Model], view: View[_Model]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await view(request, read_query(request, model))

    return handler


def _with_upload(most: int, view: View[AsyncGenerator[Part, None]]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        async with aclosing(parts_of(request, most)) as parts:
            return await view(request, parts)

    return handler
