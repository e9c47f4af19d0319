"""Deliveries of which only the status matters, over connections that are kept."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from prx import __version__
from prx.core.egress.errors import EgressAddressError, EgressBrokenError, EgressTimeoutError
from prx.core.egress.target import Target
from prx.runtime.egress.delivery import DeliveryClient, Receipt
from prx.runtime.egress.resolver import SystemNames
from tests.integration.egress.servers import (
    LAX,
    STRICT,
    Received,
    accepting,
    ok,
    redirect,
    reply,
    saying,
    serving,
    silent,
)


@pytest.fixture
async def keeping() -> AsyncIterator[DeliveryClient]:
    async with DeliveryClient(SystemNames(), max_connections=10) as client:
        yield client


async def deliver(client: DeliveryClient, url: str, *, timeout_secs: float = 10, most: int = 1000) -> Receipt:
    return await client.deliver(
        Target.parse(url),
        b'{"a": 1}',
        headers=[("Content-Type", "application/json")],
        policy=LAX,
        timeout_secs=timeout_secs,
        max_response_bytes=most,
    )


def requests_of(server_reads: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return what answers `server_reads` requests on each connection, then closes it without a word."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(server_reads):
            await reader.readuntil(b'{"a": 1}')
            writer.write(reply(200, b"ok"))
            await writer.drain()

    return handle


async def test_a_request_says_what_it_is_to_the_letter(keeping: DeliveryClient) -> None:
    async with serving(ok()) as server:
        await deliver(keeping, server.url("/a%20b?c=%22"))
        (request,) = server.received
        assert request.line == "POST /a%20b?c=%22 HTTP/1.1"
        assert request.headers == [
            ("Host", f"127.0.0.1:{server.port}"),
            ("Accept-Encoding", "gzip"),
            ("User-Agent", f"prx/{__version__}"),
            ("Accept", "*/*"),
            ("Content-Type", "application/json"),
            ("Content-Length", "8"),
        ]
        assert request.body == b'{"a": 1}'


async def test_a_kept_connection_is_used_again(keeping: DeliveryClient) -> None:
    async with accepting(requests_of(100)) as server:
        for _ in range(5):
            assert (await deliver(keeping, server.url())).beginning == b"ok"
        assert server.connections == 1


async def test_a_kept_connection_that_the_receiver_closed_is_no_failure(keeping: DeliveryClient) -> None:
    async with accepting(requests_of(2)) as server:
        for _ in range(9):
            assert (await deliver(keeping, server.url())).status == 200
        assert server.connections == 5


async def test_a_receiver_that_closes_a_new_connection_has_failed(keeping: DeliveryClient) -> None:
    async with accepting(requests_of(0)) as server:
        with pytest.raises(EgressBrokenError):
            await deliver(keeping, server.url())
        assert server.connections == 1


async def test_a_kept_connection_is_not_used_where_it_may_not_go(keeping: DeliveryClient) -> None:
    async with accepting(requests_of(100)) as server:
        await deliver(keeping, server.url())
        with pytest.raises(EgressAddressError):
            await keeping.deliver(
                Target.parse(server.url()),
                b"",
                headers=[],
                policy=STRICT,
                timeout_secs=5,
                max_response_bytes=1,
            )


async def test_a_redirect_is_an_answer_and_leads_nowhere(keeping: DeliveryClient) -> None:
    async with serving(ok()) as other, serving(redirect(other.url())) as server:
        assert (await deliver(keeping, server.url())).status == 302
        assert other.received == []


async def endless(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 202 X\r\n\r\n")
    while True:
        writer.write(b"x" * 1024)
        await writer.drain()


async def stalling(_: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 202 X\r\nContent-Length: 10\r\n\r\nxx")
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (endless, b"x" * 1000),
        (ok(b"y" * 5000), b"y" * 1000),
        (ok(gzip.compress(b"z" * 100), "Content-Encoding: gzip"), b"z" * 100),
        (ok(gzip.compress(b"z" * 50_000), "Content-Encoding: gzip"), b"z" * 1000),
        (ok(b"not gzip", "Content-Encoding: gzip"), b""),
        (ok(b"what is this", "Content-Encoding: br"), b""),
        (saying(b"HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nxx"), b"xx"),
    ],
)
async def test_whatever_the_body_of_the_answer_is_its_status_counts(
    keeping: DeliveryClient, answer: Callable[[Received, asyncio.StreamWriter], Awaitable[None]], body: bytes
) -> None:
    async with serving(answer) as server:
        response = await deliver(keeping, server.url())
        assert response.status in (200, 202)
        assert response.beginning == body


async def test_a_body_that_stalls_ends_with_the_time_and_the_status_counts(keeping: DeliveryClient) -> None:
    async with serving(stalling) as server:
        assert (await deliver(keeping, server.url(), timeout_secs=0.2)).status == 202


@pytest.mark.parametrize(
    "early", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n" * 3]
)
async def test_what_comes_before_the_answer_is_passed_over(keeping: DeliveryClient, early: bytes) -> None:
    async with serving(saying(early + reply(200, b"ok"))) as server:
        assert await deliver(keeping, server.url()) == Receipt(200, None, b"ok")


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 200 X\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 X\r\nA: " + b"a" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 X\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
    ],
)
async def test_what_is_no_answer_is_a_failure_in_words_of_our_own(
    keeping: DeliveryClient, raw: bytes
) -> None:
    async with serving(saying(raw)) as server:
        with pytest.raises(EgressBrokenError, match=r"^http://127\.0\.0\.1:\d+: its answer is .* not HTTP"):
            await deliver(keeping, server.url())


async def test_a_connection_whose_answer_did_not_come_in_time_is_not_used_again(
    keeping: DeliveryClient,
) -> None:
    late = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b'{"a": 1}')
        if server.connections == 1:
            await late.wait()
        writer.write(reply(200, b"late" if late.is_set() else b"ok"))
        await writer.drain()

    async with accepting(handle) as server:
        with pytest.raises(EgressTimeoutError):
            await deliver(keeping, server.url(), timeout_secs=0.2)
        assert (await deliver(keeping, server.url())).beginning == b"ok"
        late.set()


async def test_no_status_in_time_is_a_failure(keeping: DeliveryClient) -> None:
    async with serving(silent) as server:
        with pytest.raises(EgressTimeoutError, match=r"did not answer within 0\.2 s"):
            await deliver(keeping, server.url(), timeout_secs=0.2)
