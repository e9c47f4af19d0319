"""`/metrics` on a real socket: who may scrape it, and that the text is true."""

import asyncio
from collections.abc import Iterable

import pytest
from aiohttp import web
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from prx.api.app import EDGE, build_app, mount
from prx.api.routes import Routes
from prx.core.metric import Metric
from tests.integration.api.api_harness import Api, Reply, deps_of, serving
from tests.support.waiting import eventually

Labels = frozenset[tuple[str, str]]


def samples(reply: Reply) -> dict[tuple[str, Labels], float]:
    """Return every value of a scrape, read by the library's own parser."""
    assert reply.status == 200
    families = text_string_to_metric_families(reply.body.decode())
    return {_key(sample): sample.value for family in families for sample in family.samples}


def _key(sample: Sample) -> tuple[str, Labels]:
    return sample.name, frozenset(sample.labels.items())


def requests(found: dict[tuple[str, Labels], float]) -> dict[tuple[str, str, str], float]:
    """Return the counted requests by method, route and status."""
    return {
        (told["method"], told["route"], told["status"]): value
        for (name, labels), value in found.items()
        if name == "prx_http_requests_total" and (told := dict(labels))
    }


async def test_requests_are_counted_by_route_method_and_status(api: Api) -> None:
    await api.get("/api/v1/status")
    await api.get("/api/v1/status", token=None)
    await api.get("/api/v1/plugins/one")
    await api.get("/api/v1/plugins/two")
    await api.get("/api/v1/none")
    await api.call("TRACE", "/somewhere")
    found = samples(await api.get("/metrics"))
    assert requests(found) == {
        ("GET", "/api/v1/status", "200"): 1,
        ("GET", "/api/v1/status", "401"): 1,
        ("GET", "/api/v1/plugins/{name}", "404"): 2,
        ("other", "none", "404"): 2,
    }
    status = frozenset({("method", "GET"), ("route", "/api/v1/status")})
    assert found["prx_http_request_duration_seconds_count", status] == 2
    assert 0 < found["prx_http_request_duration_seconds_sum", status] < 60
    assert found["prx_http_request_duration_seconds_bucket", status | {("le", "+Inf")}] == 2


async def test_requests_over_the_limit_are_counted_as_429(api: Api) -> None:
    for _ in range(33):
        await api.get("/api/v1/tools")
    api.now += 2
    assert requests(samples(await api.get("/metrics"))) == {
        ("GET", "/api/v1/tools", "200"): 30,
        ("GET", "/api/v1/tools", "429"): 3,
    }


async def test_a_client_that_leaves_and_a_stream_have_no_time(api: Api) -> None:
    entered, held = asyncio.Event(), asyncio.Event()
    routes = Routes()

    async def hold(_request: web.Request) -> web.Response:
        entered.set()
        await held.wait()
        return web.Response()

    routes.get("/held", scope="status:read")(hold)
    app = build_app(deps_of(api))
    mount(app, app[EDGE], routes)
    api.metrics = deps_of(api).metrics
    async with serving(api, app):
        leaving = asyncio.create_task(api.get("/held"))
        await entered.wait()
        leaving.cancel()
        assert api.session is not None
        async with api.session.get(
            f"http://127.0.0.1:{api.port}/api/v1/events", headers={"Authorization": f"Bearer {api.token}"}
        ) as stream:
            assert await stream.content.readline() == b":\n"
        traffic = app[EDGE].traffic

        def counted() -> set[tuple[str, ...]]:
            return {labels[1:] for labels, _ in traffic.metrics()[0].samples}

        await eventually(lambda: counted() >= {("/held", "499"), ("/api/v1/events", "499")})
        assert traffic.metrics()[1].samples == []


async def test_who_scrapes_needs_a_token_that_may_read_the_status(api: Api) -> None:
    other, _ = api.tokens.create("other", role="viewer", scopes=["tools:read"])
    viewer, _ = api.tokens.create("viewer", role="viewer", scopes=["status:read"])
    assert (await api.get("/metrics", token=None)).error["code"] == "unauthorized"
    assert (await api.get("/metrics", token=other)).error["details"] == {"scope": "status:read"}
    assert (await api.get("/metrics", token=viewer)).status == 200
    assert (await api.call("HEAD", "/metrics")).status == 200


async def test_public_metrics_need_no_token_from_the_next_request_on(api: Api) -> None:
    api.configure(metrics_public=True)
    reply = await api.get("/metrics", token=None)
    assert reply.status == 200
    assert reply.headers["X-RateLimit-Remaining"] == "29"
    assert (await api.get("/metrics", token=None, headers={"Host": "evil.example"})).status == 403
    assert (await api.get("/api/v1/status", token=None)).status == 401
    api.configure(metrics_public=False)
    assert (await api.get("/metrics", token=None)).status == 401


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        (
            "Application/OpenMetrics-Text;version=x.y;escaping=z",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("text/plain;version=x", "text/plain; version=0.0.4; charset=utf-8"),
    ],
)
async def test_the_format_is_the_one_that_is_asked_for(api: Api, accept: str, content_type: str) -> None:
    reply = await api.get("/metrics", headers={"Accept": accept})
    assert (reply.status, reply.headers["Content-Type"]) == (200, content_type)
    text = reply.body.decode()
    assert text.endswith("# EOF\n") == ("openmetrics" in content_type)
    parse = openmetrics_families if "openmetrics" in content_type else text_string_to_metric_families
    assert len(list(parse(text))) > 3


async def test_names_that_are_not_text_cost_no_scrape(api: Api) -> None:
    odd = 'quote" back\\slash \udcff\n'

    def source() -> Iterable[Metric]:
        return [Metric("prx_odd", "gauge", "x", ("plugin",), [((odd,), 1)])]

    api.metrics.watch(source)
    found = samples(await api.get("/metrics"))
    assert found["prx_odd", frozenset({("plugin", 'quote" back\\slash \\udcff\n')})] == 1
