"""How many requests came to which routes, how they were answered, and how long that took."""

from bisect import bisect_left
from collections.abc import Iterator
from functools import partial
from time import perf_counter
from typing import Final

from aiohttp import web

from prx.api.routes import Handler
from prx.core.metric import Distribution, Metric

_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_GONE: Final = 499
"""What is counted where the client left before its answer, as widely used proxies do."""


class Traffic:
    """Counts around the edge. As many counters as there are routes: requests to no route at all share one."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._unmatched = _Route()
        self._unmatched.labels = ("other", "none")
        self._routes = [self._unmatched]

    def counted(self, handler: Handler) -> Handler:
        """Return `handler`, which answers one route, with every request to it counted, refused ones included."""
        route = _Route()
        self._routes.append(route)
        return partial(_served, route, handler)

    async def count_unmatched(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        """Return the answer of `handler` to a request that no route is for."""
        return await _served(self._unmatched, handler, request)

    def metrics(self) -> list[Metric]:
        """Return what was counted; see `MetricSource`."""
        routes = [route for route in self._routes if route.labels]
        return [
            Metric(
                "prx_http_requests",
                "counter",
                "Requests by how they were answered; 499 where the client left before, 429 over a rate limit",
                ("method", "route", "status"),
                [sample for route in routes for sample in route.requests()],
            ),
            Metric(
                "prx_http_request_duration_seconds",
                "histogram",
                "From the request's headers to its answer, without streams",
                ("method", "route"),
                [(route.labels, route.durations()) for route in routes if route.measured],
                _BOUNDS,
            ),
        ]


class _Route:
    """The requests to one route."""

    __slots__ = ("_buckets", "_by_status", "_secs", "labels")

    def __init__(self) -> None:
        self.labels: tuple[str, ...] = ()
        """Method and path; none before the first request, which knows under which path the route is mounted."""
        self._by_status: dict[int, int] = {}
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._secs = 0.0

    def is_named_by(self, route: web.AbstractRoute) -> None:
        assert route.resource is not None  # noqa: S101  # every route that is declared has one
        self.labels = (route.method, route.resource.canonical)

    def answered(self, status: int) -> None:
        self._by_status[status] = self._by_status.get(status, 0) + 1

    def took(self, secs: float) -> None:
        self._buckets[bisect_left(_BOUNDS, secs)] += 1
        self._secs += secs

    @property
    def measured(self) -> bool:
        return any(self._buckets)

    def requests(self) -> Iterator[tuple[tuple[str, ...], float]]:
        for status, count in sorted(self._by_status.items()):
            yield (*self.labels, str(status)), count

    def durations(self) -> Distribution:
        return Distribution(self._buckets.copy(), self._secs)


async def _served(route: _Route, handler: Handler, request: web.Request) -> web.StreamResponse:
    began = perf_counter()
    if not route.labels:
        route.is_named_by(request.match_info.route)
    try:
        response = await handler(request)
    except BaseException:
        route.answered(_GONE)
        raise
    route.answered(response.status)
    # How long a stream takes is its reader's choice.
    if isinstance(response, web.Response):
        route.took(perf_counter() - began)
    return response
