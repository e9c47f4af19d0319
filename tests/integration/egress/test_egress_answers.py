"""What servers send, or do not: bounded in size and time, decoded, and every failure told in words of our own."""

import asyncio
import gzip
from collections.abc import Sequence

import pytest

from prx.core.egress.addresses import Address
from prx.core.egress.errors import EgressError, EgressRefusedError, EgressTimeoutError, EgressTooLargeError
from prx.runtime.egress.client import EgressClient
from tests.integration.egress.servers import (
    Received,
    Zone,
    accepting,
    fetch,
    ok,
    reply,
    saying,
    serving,
    silent,
)

HIDDEN = "hunter2-is-no-secret"


async def test_a_request_and_its_answer_go_through_whole(client: EgressClient) -> None:
    answer = reply(
        418, b"short \xff and stout", "X-One: 1", "Set-Cookie: a=b", "Set-Cookie: c=d", "X-Odd: \u00e9"
    )
    async with serving(saying(answer)) as server:
        headers = [("X-Key", "v\u00e4lue"), ("X-Key", "again"), ("Cookie", "a=b"), ("Content-Length", "3")]
        response = await fetch(
            client, server.url("/a%2fb/é?q=%20"), method="post", headers=headers, body=b"\0body"
        )
        assert (response.status, response.body) == (418, b"short \xff and stout")
        assert [pair for pair in response.headers if pair[0] != "content-length"] == [
            ("x-one", "1"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("x-odd", "é"),
        ]
        [received] = server.received
        assert received.line == "POST /a%2Fb/%C3%A9?q=%20 HTTP/1.1"
        assert received.body == b"\0body"
        assert received.values("X-Key") == ["v\u00e4lue", "again"]
        assert received.values("Content-Length") == ["5"]
        assert received.values("Host") == [f"127.0.0.1:{server.port}"]
        assert received.values("Content-Type") == []


async def test_no_cookie_is_kept_and_no_connection_is_used_again(client: EgressClient) -> None:
    async with serving(ok(b"", "Set-Cookie: session=1; Path=/")) as server:
        for _ in range(3):
            await fetch(client, server.url())
        assert server.connections == 3
        assert [received.values("Cookie") for received in server.received] == [[], [], []]


async def test_the_environment_names_no_proxy(client: EgressClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(ok(b"proxy")) as proxy, serving(ok(b"direct")) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert (await fetch(client, server.url())).body == b"direct"
        assert proxy.connections == 0


async def test_a_gzip_answer_arrives_decoded(client: EgressClient) -> None:
    async with serving(ok(gzip.compress(b"x" * 5000), "Content-Encoding: GZIP")) as server:
        response = await fetch(client, server.url())
        assert response.body == b"x" * 5000
        assert not {"content-encoding", "content-length"} & dict(response.headers).keys()
        assert server.received[0].values("Accept-Encoding") == ["gzip"]


async def test_an_answer_in_pieces_arrives_whole(client: EgressClient) -> None:
    chunks = b"3\r\nabc\r\n4;ext\r\ndefg\r\n0\r\nTrailer: x\r\n\r\n"
    chunked = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    until_close = b"HTTP/1.0 200 X\r\n\r\nabcdefg"
    for answer in (chunked, until_close, b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + chunked):
        async with serving(saying(answer)) as server:
            assert (await fetch(client, server.url())).body == b"abcdefg"


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_an_answer_may_have_no_body(method: str, client: EgressClient) -> None:
    head = b"HTTP/1.1 %d X\r\nContent-Encoding: gzip\r\n%s\r\n"
    answer = head % ((200, b"Content-Length: 7\r\n") if method == "HEAD" else (204, b""))
    async with serving(saying(answer)) as server:
        assert (await fetch(client, server.url(), method=method)).body == b""


ENDLESS = {
    "with its length": b"HTTP/1.1 200 X\r\nContent-Length: 1000000000000\r\n\r\n",
    "in chunks": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
    "until the end": b"HTTP/1.1 200 X\r\n\r\n",
}


@pytest.mark.parametrize("framing", ENDLESS)
async def test_an_endless_body_is_cut_at_the_limit(framing: str, client: EgressClient) -> None:
    async def endless(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(ENDLESS[framing])
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    async with serving(endless) as server:
        with pytest.raises(EgressTooLargeError, match="larger than 100000 bytes"):
            await fetch(client, server.url(), max_response_bytes=100_000)


async def test_a_decompression_bomb_is_cut_at_the_limit(client: EgressClient) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    async with serving(ok(bomb, "Content-Encoding: gzip")) as server:
        with pytest.raises(EgressTooLargeError, match="larger than 1048576 bytes"):
            await fetch(client, server.url())


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 X\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 X\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 X\r\n" + (b"X: " + b"y" * 7000 + b"\r\n") * 20 + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 " + b"X" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_giant_headers_are_refused(head: bytes, client: EgressClient) -> None:
    async with serving(saying(head)) as server:
        with pytest.raises(EgressError, match=rf"^http://127\.0\.0\.1:{server.port}: "):
            await fetch(client, server.url())


@pytest.mark.parametrize(
    "answer",
    [
        f"{HIDDEN}\r\n\r\n".encode(),
        f"HTTP/1.1 200 X\r\n{HIDDEN}\r\n\r\n".encode(),
        f"HTTP/1.1 200 X\r\nContent-Length: {HIDDEN}\r\n\r\n".encode(),
        f"HTTP/1.1 200 X\r\nX: \x00{HIDDEN}\r\nContent-Length: 0\r\n\r\n".encode(),
        f"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n{HIDDEN}\r\n".encode(),
        f"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{HIDDEN}".encode(),
        f"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n{HIDDEN}".encode(),
        f"HTTP/1.1 200 X\r\nContent-Length: 20\r\nContent-Length: 2\r\n\r\n{HIDDEN}".encode(),
        f"HTTP/1.1 200 X\r\nContent-Length: 20\r\nContent-Encoding: gzip\r\n\r\n{HIDDEN}".encode(),
        f"HTTP/1.1 200 X\r\nContent-Length: 20\r\nContent-Encoding: br\r\n\r\n{HIDDEN}".encode(),
        b"HTTP/1.1 200 X\r\nContent-Le",
        b"\x16\x03\x01\x02\x00",
        b"",
    ],
)
async def test_a_broken_answer_is_an_error_that_repeats_nothing_of_it(
    answer: bytes, client: EgressClient
) -> None:
    async with serving(saying(answer)) as server:
        with pytest.raises(EgressError, match=rf"^http://127\.0\.0\.1:{server.port}: ") as failed:
            await fetch(client, server.url(f"/?token={HIDDEN}"), headers=[("X-Key", HIDDEN)])
        assert HIDDEN not in failed.value.message
        assert "pinned" not in failed.value.message
        assert server.connections == 1  # also of an idempotent request: nothing is sent twice


async def slow_head(_: Received, writer: asyncio.StreamWriter) -> None:
    await dripping(writer, b"HTTP/1.1 200 X\r\nX: ")


async def slow_body(_: Received, writer: asyncio.StreamWriter) -> None:
    await dripping(writer, b"HTTP/1.1 200 X\r\nContent-Length: 1000000\r\n\r\n")


async def never_final(_: Received, writer: asyncio.StreamWriter) -> None:
    await dripping(writer, b"", b"HTTP/1.1 100 Continue\r\n\r\n")


async def dripping(writer: asyncio.StreamWriter, head: bytes, drop: bytes = b"x") -> None:
    """Send a little, now and then, until the client has gone: a slow loris."""
    writer.write(head)
    gone = asyncio.ensure_future(writer.wait_closed())
    while not gone.done():
        writer.write(drop)
        await asyncio.wait([gone], timeout=0.02)


@pytest.mark.parametrize("answer", [silent, slow_head, slow_body, never_final])
async def test_whatever_a_server_does_it_has_the_whole_time_and_no_more(
    answer: object, client: EgressClient
) -> None:
    assert callable(answer)
    async with serving(answer) as server:
        with pytest.raises(EgressTimeoutError, match=r"did not answer within 0\.3 s"):
            await fetch(client, server.url(), timeout_secs=0.3)


async def test_a_server_that_does_not_read_holds_up_nobody_for_longer(client: EgressClient) -> None:
    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
        await asyncio.get_running_loop().create_future()

    async with accepting(deaf) as server:
        with pytest.raises(EgressTimeoutError):
            await fetch(client, server.url(), method="POST", body=bytes(1024 * 1024), timeout_secs=0.3)
        assert server.connections == 1


async def test_a_port_that_nobody_listens_on_is_an_error_that_says_so(client: EgressClient) -> None:
    async with serving(ok()) as server:
        url = server.url()
    with pytest.raises(EgressError) as failed:
        await fetch(client, url)
    assert failed.value.message == f"http://127.0.0.1:{server.port}: no connection: Connection refused"


async def test_a_second_address_is_tried_where_the_first_does_not_answer() -> None:
    async with (
        serving(ok(b"second")) as server,
        EgressClient(Zone(both=[["127.0.0.9", "127.0.0.1"]])) as client,
    ):
        assert (await fetch(client, server.url(host="both.example"))).body == b"second"


async def test_more_requests_than_connections_wait_for_their_turn() -> None:
    async with serving(ok(b"x")) as server, EgressClient(max_connections=2) as client:
        answers = await asyncio.gather(*(fetch(client, server.url()) for _ in range(20)))
        assert [answer.body for answer in answers] == [b"x"] * 20


async def test_a_cancelled_request_gives_its_connection_back() -> None:
    async with (
        serving(silent) as stuck,
        serving(ok(b"x")) as server,
        EgressClient(max_connections=1) as client,
    ):
        first = asyncio.ensure_future(fetch(client, stuck.url()))
        second = asyncio.ensure_future(fetch(client, server.url()))
        done, _ = await asyncio.wait([second], timeout=0.1)
        assert not done
        first.cancel()
        assert (await second).body == b"x"


async def test_a_closed_client_sends_nothing_more() -> None:
    async with serving(ok()) as server:
        client = EgressClient()
        await client.aclose()
        with pytest.raises(EgressError, match="the daemon is stopping"):
            await fetch(client, server.url())
        assert server.connections == 0


async def test_a_client_that_is_closed_during_a_lookup_sends_nothing_more() -> None:
    class Closing(Zone):
        async def addresses(self, name: str) -> Sequence[Address]:
            await client.aclose()
            return await super().addresses(name)

    async with serving(ok()) as server:
        client = EgressClient(Closing(a=[["127.0.0.1"]]))
        with pytest.raises(EgressError, match="the daemon is stopping"):
            await fetch(client, server.url(host="a.example"))
        assert server.connections == 0


async def test_closing_the_client_ends_what_is_under_way() -> None:
    async with serving(silent) as server, EgressClient() as client:
        pending = asyncio.ensure_future(fetch(client, server.url()))
        while not server.received:
            await asyncio.wait([pending], timeout=0.01)
        await client.aclose()
        with pytest.raises(EgressError):
            await pending


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET / HTTP/1.1\r\nX: y\r\n\r\n", []),
        ("CONNECT", []),
        ("GET", [("X\r\nY", "z")]),
        ("GET", [("X", "y\r\nHost: internal")]),
        ("GET", [("X", "y\n\nGET / HTTP/1.1")]),
        ("GET", [("Host", "internal.example")]),
        ("POST", [("Transfer-Encoding", "chunked")]),
        ("GET", [("Upgrade", "websocket")]),
        ("GET", [("Proxy-Authorization", "x")]),
    ],
)
async def test_a_request_that_would_smuggle_another_is_refused(
    method: str, headers: list[tuple[str, str]], client: EgressClient
) -> None:
    async with serving(ok()) as server:
        with pytest.raises(EgressRefusedError):
            await fetch(client, server.url(), method=method, headers=headers)
        assert server.connections == 0
