"""How views declare their routes: a method, a path and the scope that a token needs."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from prx.api.scopes import ALL_SCOPES
from prx.config.schema import RateLimitsConfig

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PUBLIC: Final = "public"
"""A scope that needs no token. Only for load balancers' probes: such a route is never limited either."""
ANY_TOKEN: Final = "any-token"  # noqa: S105 - the name of an access rule
"""A scope that every valid token has."""


@dataclass(frozen=True, slots=True)
class Route:
    """One declared route."""

    method: str
    path: str
    handler: Handler
    scope: str


@dataclass(frozen=True, slots=True)
class Guard:
    """What one route demands of a request."""

    scope: str | None
    """The scope that a token needs, None where no token is asked for."""
    group: str
    """The group of rate limits, a key of `gateway.rate_limits`."""
    probe: bool = False
    """A load balancer's probe: served to any Host, at any rate, ready or not."""

    @classmethod
    def of(cls, scope: str) -> "Guard":
        """Return the guard of a route declared with `scope`."""
        group = scope.replace(":", "_")
        return cls(
            scope=None if scope == PUBLIC else scope,
            group=group if group in RateLimitsConfig.model_fields else "other",
            probe=scope == PUBLIC,
        )


UNMATCHED: Final = Guard(scope=None, group="other")
"""What a request to no route at all meets."""


class Routes:
    """The routes of one resource, in the order of their declaration."""

    def __init__(self) -> None:
        """Start with none."""
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        """Iterate over the declared routes."""
        return iter(self._routes)

    def get(self, path: str, *, scope: str) -> Callable[[Handler], Handler]:
        """Declare a `GET`, and the `HEAD` that goes with it."""
        return self._declare(("GET", "HEAD"), path, scope)

    def post(self, path: str, *, scope: str) -> Callable[[Handler], Handler]:
        """Declare a `POST`."""
        return self._declare(("POST",), path, scope)

    def put(self, path: str, *, scope: str) -> Callable[[Handler], Handler]:
        """Declare a `PUT`."""
        return self._declare(("PUT",), path, scope)

    def delete(self, path: str, *, scope: str) -> Callable[[Handler], Handler]:
        """Declare a `DELETE`."""
        return self._declare(("DELETE",), path, scope)

    def patch(self, path: str, *, scope: str) -> Callable[[Handler], Handler]:
        """Declare a `PATCH`."""
        return self._declare(("PATCH",), path, scope)

    def _declare(self, methods: tuple[str, ...], path: str, scope: str) -> Callable[[Handler], Handler]:
        if scope not in ALL_SCOPES | {PUBLIC, ANY_TOKEN}:
            raise ValueError(f'{methods[0]} {path}: unknown scope "{scope}"')

        def register(handler: Handler) -> Handler:
            self._routes.extend(Route(method, path, handler, scope) for method in methods)
            return handler

        return register
