"""`fetch` of a real JavaScript component goes through the guard of http-outbound: its rules, secrets and counts."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from prx.plugins.secrets import SecretStore
from prx.runtime.logging import set_level
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
from tests.integration.plugins.scripted import NAME, Guest, scripted
from tests.support.logs import logged
from tests.support.plugin_host import PluginHost
from tests.support.waiting import PATIENCE_SECS, eventually

pytestmark = pytest.mark.slow

_STATUS = "return (await fetch(url)).status"
_FAILURE = "try { return (await fetch(url)).status } catch (error) { return error.name }"


@asynccontextmanager
async def guest_for(
    host: PluginHost, component: bytes, allowed: list[str], config: str = "", **resources: int
) -> AsyncIterator[Guest]:
    """Run the guest with an allowlist, where the operator allows private targets."""
    host.configure(allow_private_targets=True)
    async with scripted(host, component, manifest(allowed, config, **resources)) as guest:
        yield guest


async def refused(guest: Guest, url: str) -> None:
    """Have it fetch what must not be answered; its author finds in the log why."""
    assert await guest.returned(_FAILURE, url=url) == "TypeError"


async def test_fetch_sends_and_receives_and_its_prints_are_in_the_log(
    host: PluginHost, javascript: bytes, tmp_path: Path
) -> None:
    answer = saying(reply(201, b"\xc3\xa4 made", "X-One: y"))
    with logged(tmp_path) as lines:
        async with serving(answer) as server, guest_for(host, javascript, [server.url("/v1/*")]) as guest:
            got = await guest.returned(
                """
                const answer = await fetch(url, { method: "POST", headers: { "X-Key": "value" }, body: "b\\u00f6dy" });
                console.log("answered", answer.status);
                console.error("and done");
                return [answer.status, await answer.text(), answer.headers.get("x-one")];
                """,
                url=server.url("/v1/x?q=1"),
            )
            assert got == [201, "ä made", "y"]
            [received] = server.received
            assert (received.line, received.body) == ("POST /v1/x?q=1 HTTP/1.1", "b\u00f6dy".encode())
            assert received.values("X-Key") == ["value"]
    printed = [(event["level"], event["message"]) for event in lines.events("plugin::fetcher")]
    assert printed == [("info", "answered 201"), ("warn", "and done")]


async def test_requests_are_under_way_at_the_same_time(host: PluginHost, javascript: bytes) -> None:
    together = asyncio.Barrier(3)

    async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
        await together.wait()
        writer.write(reply(200, received.line.split()[1].encode()))

    async with serving(answer) as server, guest_for(host, javascript, [server.url()]) as guest:
        urls = [server.url(f"/{number}") for number in range(3)]
        texts = "return Promise.all(urls.map(async (url) => (await fetch(url)).text()))"
        assert await guest.returned(texts, urls=urls) == ["/0", "/1", "/2"]


async def test_the_receipt_counts_what_was_sent(host: PluginHost, javascript: bytes) -> None:
    async with (
        serving(by_path(a=redirect("/b"), b=ok(b"there"))) as server,
        guest_for(host, javascript, [server.url()]),
    ):
        script = f"await fetch('{server.url('/a')}'); await fetch('{server.url('/b')}')"
        result = await host.call("evaluate", {"script": script})
        assert result.receipt is not None
        assert (result.error, result.receipt.http_requests) == (None, 3)


async def test_what_is_not_on_the_list_is_not_connected_to_and_the_log_says_what_would_allow_it(
    host: PluginHost, javascript: bytes, tmp_path: Path
) -> None:
    with logged(tmp_path) as lines:
        async with serving(ok()) as server, guest_for(host, javascript, [server.url("/v1")]) as guest:
            paths = ("/v2", "/v2", "/v1")
            for url in (server.url("/v2"), server.url("/v1/../v2"), server.url("/v1", host="localhost")):
                await refused(guest, url)
            assert server.connections == 0
    told = lines.messages("plugin::fetcher")
    assert [
        f"{path} is not on the plugin's http_allowlist" in line
        for path, line in zip(paths, told, strict=True)
    ]


async def test_private_targets_need_the_operator_and_obey_him_at_the_next_request(
    host: PluginHost, javascript: bytes, tmp_path: Path
) -> None:
    with logged(tmp_path) as lines:
        async with serving(ok()) as server, guest_for(host, javascript, [server.url()]) as guest:
            assert await guest.returned(_STATUS, url=server.url()) == 200
            host.configure(allow_private_targets=False)
            await refused(guest, server.url())
            assert server.connections == 1
    [told] = lines.messages("plugin::fetcher")
    assert "127.0.0.1 is a loopback address; an operator" in told


async def test_redirects_are_followed_where_each_step_is_allowed(
    host: PluginHost, javascript: bytes, tmp_path: Path
) -> None:
    with logged(tmp_path) as lines:
        async with serving(ok(b"elsewhere")) as other:
            answers = by_path(a=redirect("/b"), b=ok(b"there"), out=redirect(other.url("/secret")))
            async with serving(answers) as server:
                listed = [server.url(path) for path in ("/a", "/b", "/out")]
                async with guest_for(host, javascript, listed) as guest:
                    text = "return (await fetch(url)).text()"
                    assert await guest.returned(text, url=server.url("/a")) == "there"
                    await refused(guest, server.url("/out"))
            assert other.connections == 0
    [told] = lines.messages("plugin::fetcher")
    assert f"{other.url('/secret')} is not on the plugin's http_allowlist" in told


async def test_a_private_address_is_refused_in_every_spelling_although_the_list_has_it(
    host: PluginHost, javascript: bytes, tmp_path: Path
) -> None:
    urls = [
        "http://169.254.169.254/latest",
        "http://2852039166/latest",
        "http://[::ffff:169.254.169.254]/latest",
    ]
    with logged(tmp_path) as lines:
        async with guest_for(host, javascript, ["http://169.254.169.254/", urls[2]]) as guest:
            host.configure(allow_private_targets=False)
            for url in urls:
                await refused(guest, url)
    told = lines.messages("plugin::fetcher")
    assert [line for line in told if "is a cloud metadata address" not in line] == []
    assert len(told) == len(urls)


async def test_a_call_sends_no_more_requests_than_its_limit(
    host: PluginHost, javascript: bytes, tmp_path: Path
) -> None:
    with logged(tmp_path) as lines:
        async with (
            serving(ok()) as server,
            guest_for(host, javascript, [server.url()], max_http_requests=2) as guest,
        ):
            script = """
                const names = [];
                for (let i = 0; i < 4; i++) {
                  try { names.push((await fetch(url)).status) } catch (error) { names.push(error.name) }
                }
                return names;
            """
            assert await guest.returned(script, url=server.url()) == [200, 200, "TypeError", "TypeError"]
            assert len(server.received) == 2
    assert any("may send 2 requests" in message for message in lines.messages("plugin::fetcher"))


async def test_bodies_are_bounded_in_both_directions(
    host: PluginHost, javascript: bytes, tmp_path: Path
) -> None:
    mib = 1024 * 1024
    answers = by_path(fits=ok(bytes(mib)), exceeds=ok(bytes(mib + 1)))
    with logged(tmp_path) as lines:
        async with serving(answers) as server, guest_for(host, javascript, [server.url()]) as guest:
            length = "return (await (await fetch(url)).arrayBuffer()).byteLength"
            assert await guest.returned(length, url=server.url("/fits")) == mib
            await refused(guest, server.url("/exceeds"))
            post = """
                const send = async (size) => {
                  try { return (await fetch(url, { method: "POST", body: "x".repeat(size) })).status }
                  catch (error) { return error.name }
                };
                return [await send(limit), await send(limit + 1)];
            """
            assert await guest.returned(post, url=server.url("/fits"), limit=mib) == [200, "TypeError"]
            assert len(server.received) == 3
            assert len(server.received[-1].body) == mib
    received, sent = lines.messages("plugin::fetcher")
    assert "larger than 1048576 bytes" in received
    assert "at most 1048576 bytes are sent" in sent


async def test_a_silent_server_costs_the_call_its_time_and_nobody_else_anything(
    host: PluginHost, javascript: bytes
) -> None:
    host.drop("echo")
    async with (
        serving(silent) as server,
        guest_for(host, javascript, [server.url()], max_execution_time_ms=3000) as guest,
    ):
        await host.until("echo", "loaded")
        pending = asyncio.ensure_future(guest.returned(_FAILURE, url=server.url()))
        await eventually(lambda: server.received)
        while not pending.done():
            assert await host.output("echo", {"text": "x"}) == "x"
        assert await pending == "TypeError"  # it is left the time to say so


async def test_what_is_under_way_when_the_call_ends_is_given_up(host: PluginHost, javascript: bytes) -> None:
    gone = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.read() == b""
        gone.set()

    async with accepting(hang) as server, guest_for(host, javascript, [server.url()]) as guest:
        script = (
            "handle(request(url), undefined); return new Promise((then) => setTimeout(then, 200, 'left'))"
        )
        assert await guest.returned(script, url=server.url()) == "left"
        await asyncio.wait_for(gone.wait(), PATIENCE_SECS)


async def test_without_the_permission_nothing_is_sent_and_the_ledger_has_it(
    host: PluginHost, javascript: bytes
) -> None:
    host.configure(allow_private_targets=True)
    async with serving(ok()) as server:
        text = manifest([server.url()]).replace("required", "optional")
        host.drop(NAME, javascript, manifest=text)
        async with host.running():
            await host.until(NAME, "loaded", within_secs=180)
            assert await Guest(host).returned(_FAILURE, url=server.url()) == "TypeError"
            assert server.connections == 0
            [denial] = host.catalogue.grants_of(NAME)["denials"]
            assert denial["permission"] == "http-outbound"


async def test_a_permission_that_is_revoked_counts_for_a_warm_guest_at_once(
    host: PluginHost, javascript: bytes
) -> None:
    async with serving(ok()) as server:
        text = manifest([server.url()]).replace("[resources]\n", '[resources]\ninstance = "warm"\n')
        text = text.replace("required", "optional")
        host.configure(allow_private_targets=True)
        async with scripted(host, javascript, text) as guest:
            script = "globalThis.calls = (globalThis.calls ?? 0) + 1; " + _FAILURE.replace(
                "return (await fetch(url)).status", "return [calls, (await fetch(url)).status]"
            )
            assert await guest.returned(script, url=server.url()) == [1, 200]
            assert await guest.returned(script, url=server.url()) == [2, 200]
            await host.catalogue.decide(NAME, {"http-outbound": False})
            assert await guest.returned(script, url=server.url()) == "TypeError"
            assert len(server.received) == 2


async def test_a_secret_arrives_at_the_server_and_neither_at_the_guest_nor_in_the_log(
    host: PluginHost, javascript: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    value = 'h"nter2 is&no/secret'
    SecretStore(host.data_dir).set("KEY", value)

    async def echo(received: Received, writer: asyncio.StreamWriter) -> None:
        sent = "\n".join([received.line, *(f"{name}: {each}" for name, each in received.headers)])
        [key] = received.values("X-Key")
        writer.write(reply(200, sent.encode() + received.body, f"X-Repeated: {key}"))

    set_level("trace")
    async with serving(echo) as server:
        async with guest_for(host, javascript, [server.url()], 'key = "secret:KEY"\n') as guest:
            placeholder, *answer = await guest.returned(
                """
                const key = config.get("key");
                const answer = await fetch(`${url}?token=${key}`, {
                  method: "POST",
                  headers: {
                    "X-Key": key,
                    "Authorization": `Basic ${btoa(`user:${key}`)}`,
                    "Content-Type": "application/json",
                  },
                  body: JSON.stringify({ key }),
                });
                console.log(key);
                return [key, await answer.text(), [...answer.headers]];
                """,
                url=server.url("/"),
            )
        assert placeholder.startswith("prx-secret-")
        [received] = server.received
        assert received.line == "POST /?token=h%22nter2%20is%26no%2Fsecret HTTP/1.1"
        assert received.values("X-Key") == [value]
        [authorization] = received.values("Authorization")
        assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == f"user:{value}"
        assert json.loads(received.body) == {"key": value}
        assert ["x-repeated", placeholder] in answer[1]
        assert "nter2" not in json.dumps(answer)
    set_level("warn")
    assert "nter2" not in capfd.readouterr().err
