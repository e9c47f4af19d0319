"""Redirects: followed by hand, each hop asked for anew, and nothing taken along that is not for it."""

import asyncio

import pytest

from prx.core.egress.addresses import Address
from prx.core.egress.errors import EgressRefusedError, EgressTimeoutError
from prx.core.egress.target import Target
from prx.runtime.egress.client import EgressClient
from tests.integration.egress.servers import (
    LAX,
    Received,
    by_path,
    fetch,
    ok,
    redirect,
    reply,
    saying,
    serving,
)

CREDENTIALS = [("Authorization", "Bearer a"), ("Cookie", "b=c"), ("X-Api-Key", "d")]


class Asked:
    """Lets everything through and keeps what it was asked for."""

    def __init__(self) -> None:
        self.targets: list[str] = []

    def admit(self, target: Target) -> None:
        self.targets.append(target.path)

    def admit_address(self, target: Target, address: Address) -> None:
        pass


async def test_the_answer_is_the_last_one_and_every_hop_is_asked_for(client: EgressClient) -> None:
    answers = by_path(a=redirect("/b/x"), b=redirect("../c?d=e#f"), c=ok(b"there"))
    policy = Asked()
    async with serving(answers) as server:
        response = await fetch(client, server.url("/a"), policy=policy)
        assert (response.status, response.body, str(response.target)) == (200, b"there", server.url("/c?d=e"))
        assert policy.targets == ["/a", "/b/x", "/c"]


async def test_five_redirects_are_followed_and_not_six(client: EgressClient) -> None:
    answers = {f"n{hop}": redirect(f"/n{hop - 1}") for hop in range(1, 7)}
    async with serving(by_path(**answers, n0=ok(b"there"))) as server:
        assert (await fetch(client, server.url("/n5"))).body == b"there"
        with pytest.raises(EgressRefusedError, match="more than 5 redirects"):
            await fetch(client, server.url("/n6"))
        assert len(server.received) == 6 + 6


async def test_a_caller_may_want_no_redirects_at_all(client: EgressClient) -> None:
    async with serving(by_path(a=redirect("/b"), b=ok())) as server:
        with pytest.raises(EgressRefusedError, match="more than 0 redirects"):
            await client.request(
                "GET",
                Target.parse(server.url("/a")),
                policy=LAX,
                timeout_secs=10,
                max_response_bytes=1000,
                max_redirects=0,
            )
        assert len(server.received) == 1


async def test_an_answer_that_leads_nowhere_is_the_answer(client: EgressClient) -> None:
    async with serving(by_path(a=saying(reply(302)), b=saying(reply(304, b"", "Location: /c")))) as server:
        assert (await fetch(client, server.url("/a"))).status == 302
        assert (await fetch(client, server.url("/b"))).status == 304


async def test_within_an_origin_headers_and_body_go_along(client: EgressClient) -> None:
    async with serving(by_path(a=redirect("/b", 307), b=ok())) as server:
        headers = [*CREDENTIALS, ("Content-Type", "text/plain")]
        await fetch(client, server.url("/a"), method="PUT", headers=headers, body=b"body")
        first, second = server.received
        assert second.line == "PUT /b HTTP/1.1"
        assert second.body == b"body"
        assert second.headers == first.headers


@pytest.mark.parametrize("other_origin", ["port", "host"])
async def test_to_another_origin_no_credential_goes_along(other_origin: str, client: EgressClient) -> None:
    async with serving(ok(b"there")) as second:
        host = "localhost" if other_origin == "host" else "127.0.0.1"
        async with serving(redirect(second.url("/x", host=host))) as first:
            headers = [*CREDENTIALS, ("Accept", "text/plain"), ("User-Agent", "mine")]
            await fetch(client, first.url(), headers=headers)
            assert len(first.received[0].values("X-Api-Key")) == 1
        names = {name.lower() for name, _ in second.received[0].headers}
        assert names == {"host", "accept-encoding", "accept", "user-agent", "connection"}
        assert second.received[0].values("Host") == [f"{host}:{second.port}"]


async def test_a_credential_that_was_dropped_does_not_come_back(client: EgressClient) -> None:
    async def bounce(received: Received, writer: asyncio.StreamWriter) -> None:
        await answers[received.line.split()[1]](received, writer)

    async with serving(bounce) as first:
        async with serving(redirect(first.url("/back"))) as second:
            answers = {"/": redirect(second.url()), "/back": ok(b"there")}
            assert (await fetch(client, first.url(), headers=CREDENTIALS)).body == b"there"
        assert [received.values("Authorization") for received in first.received] == [["Bearer a"], []]


@pytest.mark.parametrize("status", [307, 308])
async def test_a_body_is_not_sent_to_another_origin(status: int, client: EgressClient) -> None:
    async with serving(ok()) as second, serving(redirect(second.url(), status)) as first:
        with pytest.raises(
            EgressRefusedError, match=rf"redirects to http://127\.0\.0\.1:{second.port} and wants"
        ):
            await fetch(client, first.url(), method="POST", body=b"body")
        assert second.connections == 0


@pytest.mark.parametrize(
    ("method", "status", "becomes"),
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("PUT", 303, "GET"),
        ("HEAD", 303, "HEAD"),
        ("PUT", 302, "PUT"),
        ("POST", 307, "POST"),
        ("DELETE", 308, "DELETE"),
    ],
)
async def test_a_redirect_changes_the_method_as_http_says(
    method: str, status: int, becomes: str, client: EgressClient
) -> None:
    async with serving(by_path(a=redirect("/b", status), b=ok())) as server:
        await fetch(client, server.url("/a"), method=method, body=b"body", headers=[("Content-Type", "x/y")])
        second = server.received[1]
        assert second.line == f"{becomes} /b HTTP/1.1"
        keeps_body = becomes == method
        assert second.body == (b"body" if keeps_body else b"")
        assert second.values("Content-Type") == (["x/y"] if keeps_body else [])


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "javascript:x", "http://u:p@127.0.0.1/", "http://", "/\tx", "/%"]
)
async def test_a_redirect_to_what_is_no_plain_url_is_refused(location: str, client: EgressClient) -> None:
    async with serving(by_path(a=redirect(location))) as server:
        with pytest.raises(EgressRefusedError):
            await fetch(client, server.url("/a"))
        assert len(server.received) == 1


async def test_all_hops_together_have_the_time_of_one_request(client: EgressClient) -> None:
    async def slowly(_: Received, writer: asyncio.StreamWriter) -> None:
        gone = asyncio.ensure_future(writer.wait_closed())
        await asyncio.wait([gone], timeout=0.4)
        writer.write(reply(302, b"", "Location: /next"))

    async with serving(slowly) as server:
        with pytest.raises(EgressTimeoutError):
            await fetch(client, server.url(), timeout_secs=1.0)
        assert 2 <= len(server.received) <= 4
