"""`wasi:http` as its WIT says, called function by function from a real component; and guests that misuse it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.egress.servers import (
    Received,
    accepting,
    by_path,
    ok,
    redirect,
    reply,
    saying,
    serving,
    silent,
)
from tests.integration.plugins.fetcher import manifest
from tests.integration.plugins.scripted import Guest, scripted
from tests.support.logs import logged
from tests.support.plugin_host import PluginHost

pytestmark = pytest.mark.slow


@asynccontextmanager
async def guest_for(
    host: PluginHost, component: bytes, *allowed: str, **resources: int
) -> AsyncIterator[Guest]:
    """Run the guest with an allowlist, where the operator allows private targets."""
    host.configure(allow_private_targets=True)
    async with scripted(host, component, manifest(allowed, **resources)) as guest:
        yield guest


async def test_headers_are_kept_in_order_and_checked_as_they_are_set(
    host: PluginHost, javascript: bytes
) -> None:
    async with guest_for(host, javascript) as guest:
        got = await guest.returned("""
            const fields = new http.Fields();
            fields.append("X-One", encode("1"));
            fields.append("x-one", encode("2"));
            fields.set("Accept", [encode("text/html"), encode("*/*")]);
            const copy = fields.clone();
            copy.delete("X-ONE");
            return {
              entries: fields.entries().map(([name, value]) => [name, decode(value)]),
              one: fields.get("X-oNe").map(decode), none: fields.get("y"), has: [fields.has("ACCEPT"), fields.has("y")],
              copy: copy.entries().length, still: fields.entries().length,
            };
        """)
        assert got == {
            "entries": [["X-One", "1"], ["x-one", "2"], ["Accept", "text/html"], ["Accept", "*/*"]],
            "one": ["1", "2"],
            "none": [],
            "has": [True, False],
            "copy": 2,
            "still": 4,
        }
        refused = await guest.returned("""
            const fields = http.Fields.fromList([["x", encode("1")]]);
            const fixed = new http.OutgoingRequest(http.Fields.fromList([["x", encode("1")]])).headers();
            return [
              refusal(() => fields.append("no name", encode("1"))),
              refusal(() => fields.set("x", [encode("two\\r\\nlines")])),
              refusal(() => fields.append("x", new Uint8Array([0xff]))),
              refusal(() => fields.append("Transfer-Encoding", encode("chunked"))),
              refusal(() => fields.delete("proxy-authorization")),
              refusal(() => http.Fields.fromList([["expect", encode("100-continue")]])),
              refusal(() => fixed.append("y", encode("1"))),
              refusal(() => fixed.delete("x")),
              refusal(() => fixed.clone().append("y", encode("1"))),
            ];
        """)
        assert refused == [
            "invalid-syntax", "invalid-syntax", "invalid-syntax", "forbidden", "forbidden", "forbidden",
            "immutable", "immutable", "none",
        ]  # fmt: skip


async def test_a_request_says_what_was_set(host: PluginHost, javascript: bytes) -> None:
    async with guest_for(host, javascript) as guest:
        got = await guest.returned("""
            const made = new http.OutgoingRequest(new http.Fields());
            const before = [made.method(), made.scheme(), made.authority(), made.pathWithQuery()];
            made.setMethod({ tag: "other", val: "PURGE" });
            made.setScheme({ tag: "HTTPS" });
            made.setAuthority("example.com:8443");
            made.setPathWithQuery("/a?b=c");
            return [
              before, [made.method(), made.scheme(), made.authority(), made.pathWithQuery()],
              refusal(() => made.setMethod({ tag: "other", val: "GET /\\r\\n" })),
              refusal(() => made.setScheme({ tag: "other", val: "a b" })),
              refusal(() => made.setAuthority("user@example.com")),
              refusal(() => made.setAuthority("example.com/path")),
              refusal(() => made.setPathWithQuery("a b")),
              refusal(() => made.setPathWithQuery(".evil.example/")),
            ];
        """)
        assert got[0] == [{"tag": "get"}, None, None, None]
        assert got[1] == [{"tag": "other", "val": "PURGE"}, {"tag": "HTTPS"}, "example.com:8443", "/a?b=c"]
        assert got[2:] == ["no reason"] * 6
        options = await guest.returned("""
            const options = new http.RequestOptions();
            options.setConnectTimeout(1n);
            options.setFirstByteTimeout(0xffffffffffffffffn);
            return [options.connectTimeout(), options.firstByteTimeout(), options.betweenBytesTimeout()].map(String);
        """)
        assert options == ["1", "18446744073709551615", "undefined"]


async def test_a_body_is_written_in_pieces_and_read_once(host: PluginHost, javascript: bytes) -> None:
    async def echo(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(200, received.body, "X-Seen: \u00e9"))

    async with serving(echo) as server, guest_for(host, javascript, server.url()) as guest:
        got = await guest.returned(
            """
            const made = request(url, "post", [["content-length", "9"]]);
            const body = made.body();
            const future = handle(made, undefined);
            const notYet = future.get();
            const stream = body.write();
            stream.subscribe().block();
            const room = String(stream.checkWrite());
            stream.write(encode("one "));
            stream.blockingWriteAndFlush(encode("two "));
            stream.writeZeroes(1n);
            stream.blockingFlush();
            stream[Symbol.dispose]();
            http.OutgoingBody.finish(body, undefined);
            future.subscribe().block();
            const answer = future.get().val.val;
            const again = future.get().tag;
            const incoming = answer.consume();
            const read = incoming.stream();
            const pieces = [decode(read.read(3n)), String(read.skip(1n)), decode(read.blockingRead(100n))];
            const end = refusal(() => read.read(1n));
            read[Symbol.dispose]();
            const trailers = http.IncomingBody.finish(incoming);
            trailers.subscribe().block();
            return {
              notYet: notYet ?? null, room, again, pieces, end, status: answer.status(),
              seen: answer.headers().get("x-seen").map(decode),
              twice: refusal(() => answer.consume()),
              trailers: [trailers.get(), trailers.get().tag],
            };
            """,
            url=server.url("/"),
        )
        assert got == {
            "notYet": None,
            "room": "65536",
            "again": "err",
            "pieces": ["one", "1", "two \0"],
            "end": "closed",
            "status": 200,
            "seen": ["é"],
            "twice": "no reason",
            "trailers": [{"tag": "ok", "val": {"tag": "ok"}}, "err"],
        }
        [received] = server.received
        assert (received.line, received.body) == ("POST / HTTP/1.1", b"one two \0")


async def test_a_body_that_is_not_what_was_announced_is_not_sent(
    host: PluginHost, javascript: bytes, tmp_path: Path
) -> None:
    finish = """
        const made = request(url, "post", headers);
        const body = made.body();
        const future = handle(made, undefined);
        const stream = body.write();
        stream.write(encode("four"));
        stream[Symbol.dispose]();
        const trailers = withTrailers ? http.Fields.fromList([["x", encode("y")]]) : undefined;
        return [refusal(() => http.OutgoingBody.finish(body, trailers)), outcome(future)];
    """
    with logged(tmp_path) as lines:
        async with serving(ok()) as server, guest_for(host, javascript, server.url()) as guest:
            url, announced = server.url(), [["Content-Length", "5"]]
            got = await guest.returned(finish, url=url, headers=announced, withTrailers=False)
            assert got == ["HTTP-request-body-size", "HTTP-request-body-size"]
            got = await guest.returned(finish, url=url, headers=[], withTrailers=True)
            assert got == ["internal-error", "internal-error"]
            dropped = """
                const made = request(url, "post");
                const body = made.body();
                const future = handle(made, undefined);
                body[Symbol.dispose]();
                return outcome(future);
            """
            assert await guest.returned(dropped, url=url) == "connection-terminated"
            nobody_waits = """
                const made = request(url, "post");
                const body = made.body();
                handle(made, undefined)[Symbol.dispose]();
                http.OutgoingBody.finish(body, undefined);
                return 1;
            """
            assert await guest.returned(nobody_waits, url=url) == 1
            assert server.connections == 0
    assert [message.partition("body: ")[2] for message in lines.messages("plugin::fetcher")] == [
        "4 bytes, but Content-Length is 5",
        "trailers are not sent",
        "it was dropped before it was finished",
    ]


async def test_failures_have_the_codes_of_the_standard(host: PluginHost, javascript: bytes) -> None:
    async with (
        serving(by_path(garbage=saying(b"SSH-2.0-x\r\n\r\n"), loop=redirect("/loop"), late=silent)) as server,
        accepting(lambda _reader, writer: _reset(writer)) as resetting,
    ):
        allowed = (
            server.url(),
            resetting.url(),
            "http://nowhere.invalid/",
            "http://127.0.0.1:9/",
        )
        async with guest_for(host, javascript, *allowed) as guest:

            async def code(url: str, method: str = "get") -> str:
                script = "return outcome(handle(request(url, method), undefined))"
                return str(await guest.returned(script, url=url, method=method))

            assert await code("http://elsewhere.example/") == "HTTP-request-denied"
            assert await code(server.url(), "trace") == "HTTP-request-denied"
            assert await code("http://nowhere.invalid/") == "DNS-error"
            assert await code("http://127.0.0.1:9/") == "connection-refused"
            assert await code(server.url("/garbage")) == "HTTP-protocol-error"
            assert await code(resetting.url()) == "HTTP-protocol-error"
            assert await code(server.url("/loop")) == "HTTP-request-denied"
            host.configure(allow_private_targets=False)
            assert await code(server.url()) == "destination-IP-prohibited"


async def _reset(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_a_request_waits_no_longer_than_its_options_say(host: PluginHost, javascript: bytes) -> None:
    async def begin(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        await writer.drain()
        await silent(_, writer)

    script = """
        const options = new http.RequestOptions();
        options[which](20000000n);
        const before = clock.now();
        const code = outcome(handle(request(url), options));
        return [code, Number(clock.now() - before) / 1e9];
    """
    async with (
        serving(by_path(silent=silent, begin=begin)) as server,
        guest_for(host, javascript, server.url(), max_execution_time_ms=60_000) as guest,
    ):
        for path, which in (("/silent", "setFirstByteTimeout"), ("/begin", "setBetweenBytesTimeout")):
            code, secs = await guest.returned(script, url=server.url(path), which=which)
            assert code == "HTTP-response-timeout"
            assert secs < 30, "far less than what is left of the call"


async def test_a_wait_ends_with_the_first_of_what_it_is_for(host: PluginHost, javascript: bytes) -> None:
    held = asyncio.Event()

    async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
        if "slow" in received.line:
            await held.wait()
        writer.write(reply(200, b"done"))

    async with serving(answer) as server, guest_for(host, javascript, server.url()) as guest:
        got = await guest.returned(
            """
            const slow = handle(request(url + "slow"), undefined);
            const quick = handle(request(url + "quick"), undefined);
            const hour = clock.subscribeDuration(3600000000000n);
            const waiting = [hour, slow.subscribe(), quick.subscribe()];
            const ready = [...poll.poll(waiting)];
            const timer = [...poll.poll([waiting[1], clock.subscribeDuration(1000000n)])];
            return [ready, waiting.map((each) => each.ready()), timer, outcome(quick)];
            """,
            url=server.url("/"),
        )
        assert got == [[2], [False, False, True], [1], "200 done"]
        held.set()


async def test_no_more_than_sixteen_requests_are_under_way_at_once(
    host: PluginHost, javascript: bytes
) -> None:
    async with (
        serving(silent) as server,
        guest_for(
            host, javascript, server.url(), max_http_requests=100, max_execution_time_ms=60_000
        ) as guest,
    ):
        script = """
            const futures = [];
            for (let i = 0; i < 17; i++) futures.push(handle(request(url), undefined));
            return outcome(futures[16]);
        """
        assert await guest.returned(script, url=server.url()) == "connection-limit-reached"


async def test_a_guest_that_waits_for_what_cannot_come_ends_with_its_time(
    host: PluginHost, javascript: bytes
) -> None:
    async with (
        serving(ok()) as server,
        guest_for(host, javascript, server.url(), max_execution_time_ms=400) as guest,
    ):
        script = """
            const made = request(url, "post");
            const body = made.body();
            const future = handle(made, undefined);
            future.subscribe().block();
        """
        ended = await guest.ended(script, url=server.url())
        assert ended.code == "timeout"
        assert server.connections == 0


_MISUSES = {
    "poll.poll([])": "the guest waits for nothing: poll takes at least one pollable",
    "const p = clock.subscribeDuration(0n); poll.poll(Array(5000).fill(p))": (
        "the guest hands over a list of 5000 at once, where 1024 are taken"
    ),
    "const all = []; for (;;) all.push(http.Fields.fromList([['x', encode('y')]]))": (
        "the guest holds 1024 handles of the host and wants more: it does not drop them"
    ),
    "const f = new http.Fields(); for (;;) f.append('x', new Uint8Array(60000).fill(65))": (
        "the guest makes a header section of 2 fields and 120002 bytes: 1024 and 65536 are taken"
    ),
    "const f = new http.Fields(); for (;;) f.append('x', encode(''))": (
        "the guest makes a header section of 1025 fields and 1025 bytes: 1024 and 65536 are taken"
    ),
    """
    const all = [];
    for (;;) {
      const body = request("http://x/", "post").body();
      const stream = body.write();
      for (let i = 0; i < 16; i++) stream.write(new Uint8Array(65536));
      all.push([body, stream]);
    }
    """: "the guest has the host keep more than 16777216 bytes of headers and bodies at once",
    "const p = clock.subscribeDuration(0n); p[Symbol.dispose](); p.ready()": "the guest trapped: ",
    "const r = request('http://x/'); handle(r, undefined); r.method()": "the guest trapped: ",
}


@pytest.mark.parametrize("script", _MISUSES)
async def test_a_guest_that_breaks_the_rules_ends_in_a_sentence(
    script: str, host: PluginHost, javascript: bytes
) -> None:
    async with guest_for(host, javascript, max_execution_time_ms=60_000) as guest:
        ended = await guest.ended(script)
        assert (ended.code, ended.message[: len(_MISUSES[script])]) == ("trap", _MISUSES[script])
        assert await guest.returned("return 1") == 1
