"""http-outbound as a guest meets it: a real component, real threads, real servers."""

import asyncio
import time
from typing import Any

import pytest

from prx.core.egress.errors import EgressTimeoutError
from prx.core.tool import CallContext
from prx.plugins.allowlist import Allowlist
from prx.plugins.calls import Call, Limits, Owner
from prx.plugins.grants import Ledger
from prx.plugins.host.http import HttpOutbound
from prx.plugins.host.output import GuestOutput
from prx.runtime.egress.client import EgressClient
from tests.integration.egress.servers import by_path, ok, redirect, reply, saying, serving, silent
from tests.integration.plugins.fetcher import FETCHER, NAME, Guest, installed, manifest
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually


async def test_a_guest_reaches_what_its_manifest_names_where_the_operator_allows_private_targets(
    host: PluginHost,
) -> None:
    host.configure(allow_private_targets=True)
    answer = saying(reply(201, b"\0made", "X-One: \u00e9", "Set-Cookie: a=b"))
    async with serving(answer) as server, installed(host, manifest([server.url("/v1/*")])) as guest:
        request = {"method": "POST", "headers": [("X-Key", "v\u00e4lue")], "body": b"\xff\0body"}
        got = await guest.got(server.url("/v1/x?q"), **request)
        assert (got["status"], got["body"]) == (201, b"\0made")
        assert ["x-one", "é"] in got["headers"]
        [received] = server.received
        assert (received.line, received.body) == ("POST /v1/x?q HTTP/1.1", b"\xff\0body")
        assert received.values("X-Key") == ["v\u00e4lue"]
        result = await guest.fetch(server.url("/v1/y"))
        assert result.receipt is not None
        assert (result.receipt.http_requests, result.receipt.host_calls) == (1, 1)


async def test_what_is_not_on_the_list_is_not_even_connected_to(host: PluginHost) -> None:
    host.configure(allow_private_targets=True)
    async with serving(ok()) as server, installed(host, manifest([server.url("/v1")])) as guest:
        for url in (server.url("/v2"), server.url("/v1/../v2"), server.url("/v1", host="localhost")):
            assert "is not on the plugin's http_allowlist" in await guest.refused(url)
        assert server.connections == 0


async def test_private_targets_need_the_operator_and_obey_him_at_the_next_call(host: PluginHost) -> None:
    async with serving(ok(b"inside")) as server, installed(host, manifest([server.url()])) as guest:
        told = await guest.refused(server.url())
        assert told.endswith(
            "127.0.0.1 is a loopback address; an operator allows such targets with plugins.allow_private_targets = true"
        )
        host.configure(allow_private_targets=True)
        assert (await guest.got(server.url()))["body"] == b"inside"
        host.configure(allow_private_targets=False)
        assert "is a loopback address" in await guest.refused(server.url())
        assert server.connections == 1


async def test_redirects_stay_on_the_list_and_count_as_requests(host: PluginHost) -> None:
    host.configure(allow_private_targets=True)
    async with serving(ok(b"elsewhere")) as other:
        answers = by_path(
            a=redirect("/b"), b=redirect("/c"), c=ok(b"there"), out=redirect(other.url()), up=redirect("/x")
        )
        async with serving(answers) as server:
            listed = [server.url(path) for path in ("/a", "/b", "/c", "/out", "/up")]
            async with installed(host, manifest(listed, max_http_requests=3)) as guest:
                result = await guest.fetch(server.url("/a"))
                assert result.receipt is not None
                assert result.receipt.http_requests == 3
                assert "is not on the plugin's http_allowlist" in await guest.refused(server.url("/out"))
                assert "is not on the plugin's http_allowlist" in await guest.refused(server.url("/up"))
            async with installed(host, manifest(listed, max_http_requests=2)) as guest:
                assert "may send 2 requests, redirects included" in await guest.refused(server.url("/a"))
        assert other.connections == 0


async def test_a_plugin_without_requests_sends_none(host: PluginHost) -> None:
    host.configure(allow_private_targets=True)
    async with (
        serving(ok()) as server,
        installed(host, manifest([server.url()], max_http_requests=0)) as guest,
    ):
        assert "a call may send 0 requests" in await guest.refused(server.url())
        assert server.connections == 0


async def test_bodies_are_bounded_in_both_directions(host: PluginHost) -> None:
    host.configure(allow_private_targets=True)
    mib = 1024 * 1024
    answers = by_path(fits=ok(bytes(mib)), exceeds=ok(bytes(mib + 1)))
    async with serving(answers) as server, installed(host, manifest([server.url()])) as guest:
        host.limit(max_output_kb=4096)
        assert "larger than 1048576 bytes" in await guest.refused(server.url("/exceeds"))
        told = await guest.refused(server.url("/fits"), method="POST", body=bytes(mib + 1))
        assert "at most 1048576 are sent" in told
        assert len(server.received) == 1


async def test_a_silent_server_costs_the_call_its_time_and_nobody_else_anything(host: PluginHost) -> None:
    host.configure(allow_private_targets=True)
    host.drop("echo")
    async with serving(silent) as server:
        text = manifest([server.url()], max_execution_time_ms=400)
        async with installed(host, text) as guest:
            await host.until("echo", "loaded")
            pending = asyncio.ensure_future(guest.fetch(server.url()))
            while not server.received:
                assert await host.output("echo", {"text": "x"}) == "x"
            result = await pending
            assert result.error is not None
            assert result.error.code in {"timeout", "tool_error"}


async def test_an_unfit_list_is_an_error_of_the_plugin_that_names_the_entry(host: PluginHost) -> None:
    host.configure(auto_grant=("http-outbound",))
    host.drop(NAME, FETCHER, manifest=manifest(["https://*.example.com/"]))
    async with host.running():
        await host.until(
            NAME, "error", error='http_allowlist: "https://*.example.com/": a "*" stands only at the end'
        )


async def test_without_the_permission_nothing_is_sent(host: PluginHost) -> None:
    host.configure(allow_private_targets=True)
    async with serving(ok()) as server:
        host.drop(NAME, FETCHER, manifest=manifest([server.url()]).replace("required", "optional"))
        async with host.running():
            await host.until(NAME, "loaded")
            assert 'without the permission "http-outbound"' in await Guest(host).refused(server.url())
        assert server.connections == 0


async def test_refused_addresses_are_in_the_ledger_with_what_would_allow_them(host: PluginHost) -> None:
    host.configure(allow_private_targets=True)
    async with serving(ok()) as server:
        url = server.url()
        host.drop(NAME, FETCHER, manifest=manifest(["https://a.example/"]))
        async with host.running():
            await host.until(
                NAME, "error", 'requires "http-outbound" for https://a.example/, which is not granted'
            )
            await host.catalogue.decide(NAME, {"http-outbound": True})
            await host.until(NAME, "loaded")
            assert "is not on the plugin's http_allowlist" in await Guest(host).refused(f"{url}x")
            host.drop(NAME, FETCHER, manifest=manifest([url]).replace("required", "optional"))
            await eventually(lambda: host.plugin(NAME).number == 2)
            assert "but was not when that was granted: prx plugin grant fetcher http-outbound" in (
                await Guest(host).refused(f"{url}x")
            )
            [denial] = host.catalogue.grants_of(NAME)["denials"]
            assert denial["operation"] == f"http-outbound.request {url}"
            assert (denial["count"], denial["allow_with"]) == (2, "prx plugin grant fetcher http-outbound")
            assert server.connections == 0
            await host.catalogue.decide(NAME, {"http-outbound": True})
            await Guest(host).got(f"{url}x")
            assert "is not on" in await Guest(host).refused("https://b.example/")
            assert host.catalogue.grants_of(NAME)["denials"][0]["allow_with"] == (
                'add "https://b.example/" to [permissions] http_allowlist in plugin.toml'
            )


def call_to(url: str, *, within_secs: float) -> Call:
    """Return a call of a plugin that may reach `url`, with so much of its time left."""
    owner = Owner(NAME, {}, frozenset(), Limits(), GuestOutput(NAME), Ledger(), Allowlist.parse([url]))
    call = Call(owner, CallContext())
    call.deadline = time.monotonic() + within_secs
    return call


async def test_a_guest_is_left_the_time_to_say_that_the_server_did_not_answer() -> None:
    async with serving(silent) as server, EgressClient() as client:
        http = HttpOutbound(asyncio.get_running_loop(), client, lambda: True)
        call = call_to(server.url(), within_secs=0.5)
        with pytest.raises(EgressTimeoutError, match=r"did not answer within 0\.[1-4]"):
            await asyncio.to_thread(http.request, call, "GET", server.url(), [], None)
        assert call.http_requests == 1


async def test_a_loop_that_is_late_holds_up_no_thread() -> None:
    late = asyncio.new_event_loop()
    async with EgressClient() as client:
        http = HttpOutbound(late, client, lambda: True)
        url = "http://127.0.0.1/"
        with pytest.raises(EgressTimeoutError, match="did not answer within"):
            await asyncio.to_thread(http.request, call_to(url, within_secs=0.1), "GET", url, [], None)

    def catch_up() -> Any:
        late.call_soon(late.stop)
        late.run_forever()
        late.call_soon(late.stop)
        late.run_forever()
        tasks = asyncio.all_tasks(late)
        late.close()
        return tasks

    assert await asyncio.to_thread(catch_up) == set()
