"""Logging in to MCP servers: a user with a browser, a client of its own, and everything that ends a login."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from prx.cli.mcp.callback import listening
from prx.config.integrations import McpServerConfig
from prx.core.errors import PrxError, UnavailableError
from prx.mcp.client.oauth.logins import LoginFile
from tests.support.login_servers import (
    CONFIGURED,
    AuthorizationServer,
    Guarded,
    authorization_server,
    browse,
    guarded_server,
    user_logs_in,
)
from tests.support.mcp_host import McpHost, mcp_host
from tests.support.waiting import eventually


class Place(NamedTuple):
    """A daemon's data directory, and the servers around it."""

    home: Path
    issuer: AuthorizationServer
    guarded: Guarded

    def config(self, **config: Any) -> McpServerConfig:
        return McpServerConfig.model_validate({"url": self.guarded.server.url, **config})

    async def log_in(self, *scopes: str, **config: Any) -> None:
        """Do what `prx mcp login one` does."""
        login = await user_logs_in(self.config(**config), *scopes)
        await asyncio.to_thread(LoginFile(self.home).put, "one", login)


@asynccontextmanager
async def _place(home: Path, **settings: Any) -> AsyncIterator[Place]:
    async with authorization_server(**settings) as issuer, guarded_server(issuer) as guarded:
        yield Place(home, issuer, guarded)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with _place(tmp_path) as found:
        yield found


@asynccontextmanager
async def daemon(place: Place, **config: Any) -> AsyncIterator[McpHost]:
    async with mcp_host(place.home, {"one": place.config(**config)}) as host:
        yield host


async def test_a_server_that_wants_a_login_says_how_and_is_met_once_there_is_one(place: Place) -> None:
    async with daemon(place) as host:
        await host.until("needs_auth", error="log in with `prx mcp login one`")
        refused = place.guarded.refused
        (problem,) = host.servers.problems()
        assert "log in with `prx mcp login one`" in problem.action
        await place.log_in()
        assert place.guarded.refused == refused + 1, "nobody but the login asked meanwhile"
        host.servers.reconnect("one")
        await host.until("connected")
        assert await host.output("echo") == "done"
    (client,) = (client for id_, client in place.issuer.clients.items() if id_ != "by-hand")
    assert client["client_name"] == "PRX"
    assert client["scope"] == "tools", "what the server's challenge asks for"
    assert place.issuer.grants() == ["authorization_code"]


async def test_a_login_lasts_over_a_restart_and_lies_encrypted(place: Place) -> None:
    await place.log_in()
    for _ in range(2):
        async with daemon(place) as host:
            await host.until("connected")
    assert place.issuer.grants() == ["authorization_code"]
    (token,) = place.issuer.access
    (refresh,) = place.issuer.refresh
    for file in place.home.iterdir():
        content = await asyncio.to_thread(file.read_bytes)
        assert token.encode() not in content
        assert refresh.encode() not in content
        if file.suffix == ".json":
            assert file.stat().st_mode & 0o077 == 0


async def test_twenty_calls_with_a_token_that_is_over_refresh_it_once(place: Place) -> None:
    await place.log_in()
    async with daemon(place) as host:
        await host.until("connected")
        for _ in range(3):
            place.issuer.access.clear()
            outputs = await asyncio.gather(*(host.output("echo") for _ in range(20)))
            assert outputs == ["done"] * 20
        assert place.issuer.grants() == ["authorization_code"] + ["refresh_token"] * 3
        assert host.view().restarts == 0


@pytest.mark.parametrize("life_secs", [None, 0, -1, 10**12])
async def test_a_token_whose_end_nobody_knows_is_used_until_it_is_refused(
    place: Place, life_secs: int | None
) -> None:
    place.issuer.life_secs = life_secs
    await place.log_in()
    async with daemon(place) as host:
        await host.until("connected")
        assert await host.output("echo") == "done"
        assert place.issuer.grants() == ["authorization_code"]
        place.issuer.access.clear()
        assert await host.output("echo") == "done"
    assert place.issuer.grants() == ["authorization_code", "refresh_token"]


async def test_a_token_that_ends_soon_is_used_while_it_is_refreshed_once(place: Place) -> None:
    await place.log_in()
    async with daemon(place) as host:
        await host.until("connected")
        (before,) = place.issuer.access
        place.issuer.gate = asyncio.Event()
        file = LoginFile(place.home)
        login = await asyncio.to_thread(file.find, "one", place.guarded.server.url)
        assert login is not None
        soon = replace(login, tokens=replace(login.tokens, renew_at=time.time()))
        await asyncio.to_thread(file.put, "one", soon)
        host.servers.reconnect("one")
        await eventually(lambda: place.issuer.grants()[1:] == ["refresh_token"])
        await host.until("connected")
        assert await asyncio.gather(*(host.output("echo") for _ in range(20))) == ["done"] * 20
        place.issuer.gate.set()
        await eventually(lambda: len(place.issuer.access) == 2)
        del place.issuer.access[before]
        assert await asyncio.gather(*(host.output("echo") for _ in range(20))) == ["done"] * 20
        assert place.issuer.grants() == ["authorization_code", "refresh_token"]


async def test_a_connection_that_ends_waits_for_the_renewal_that_is_on_its_way(place: Place) -> None:
    await place.log_in()
    async with daemon(place) as host:
        await host.until("connected")
        place.issuer.access.clear()
        place.issuer.gate = asyncio.Event()
        call = asyncio.ensure_future(host.call("echo"))
        await eventually(lambda: place.issuer.grants()[1:] == ["refresh_token"])
        host.servers.reconnect("one")
        await asyncio.wait({call})
        place.issuer.gate.set()
        await host.until("connected")
        assert await host.output("echo") == "done"
        assert place.issuer.grants() == ["authorization_code", "refresh_token"], "the new token was not lost"


async def test_a_caller_who_gives_up_does_not_take_the_renewal_along(place: Place) -> None:
    await place.log_in()
    async with daemon(place) as host:
        await host.until("connected")
        place.issuer.access.clear()
        place.issuer.gate = asyncio.Event()
        call = asyncio.ensure_future(host.call("echo"))
        await eventually(lambda: place.issuer.grants()[1:] == ["refresh_token"])
        call.cancel()
        await asyncio.wait({call})
        place.issuer.gate.set()
        assert await host.output("echo") == "done"
    assert place.issuer.grants() == ["authorization_code", "refresh_token"]


async def test_a_refresh_that_is_refused_wants_a_login_and_repeats_no_token(place: Place) -> None:
    await place.log_in()
    async with daemon(place) as host:
        await host.until("connected")
        (refresh,) = place.issuer.refresh
        place.issuer.revoke_all()
        with pytest.raises(UnavailableError, match="log in with `prx mcp login one`"):
            await host.call("echo")
        view = await host.until("needs_auth", error="invalid_grant")
        assert refresh not in str(view.error)
        asked = len(place.issuer.asked)
        with pytest.raises(UnavailableError, match="the login is over"):
            await host.call("echo")
        assert len(place.issuer.asked) == asked, "nothing was tried again"
        await place.log_in()
        host.servers.reconnect("one")
        await host.until("connected")


async def test_a_login_without_a_refresh_token_ends_with_its_token(tmp_path: Path) -> None:
    async with _place(tmp_path, gives_refresh=False) as place:
        await place.log_in()
        async with daemon(place) as host:
            await host.until("connected")
            place.issuer.access.clear()
            with pytest.raises(UnavailableError, match="cannot be renewed"):
                await host.call("echo")
            await host.until("needs_auth")


async def test_an_authorization_server_that_is_away_for_a_while_costs_no_login(place: Place) -> None:
    await place.log_in()
    async with daemon(place) as host:
        await host.until("connected")
        place.issuer.access.clear()
        place.issuer.down = True
        with pytest.raises(UnavailableError, match="HTTP 503"):
            await host.call("echo")
        host.servers.reconnect("one")
        await host.until("disconnected", error="HTTP 503")
        place.issuer.down = False
        await host.until("connected")


async def test_a_new_login_beside_a_running_daemon_is_what_it_goes_on_with(place: Place) -> None:
    await place.log_in()
    async with daemon(place) as host:
        await host.until("connected")
        place.issuer.revoke_all()
        await place.log_in()
        assert await host.output("echo") == "done"
        await asyncio.to_thread(LoginFile(place.home).remove, "one")
        place.issuer.access.clear()
        with pytest.raises(UnavailableError, match="it was logged out"):
            await host.call("echo")
        await host.until("needs_auth")


async def test_tokens_go_nowhere_but_where_they_were_made_for(place: Place) -> None:
    await place.log_in()
    async with guarded_server(place.issuer) as other, AsyncExitStack() as stack:
        servers = {"one": McpServerConfig(url=other.server.url)}
        host = await stack.enter_async_context(mcp_host(place.home, servers))
        await host.until("needs_auth", error="it asks for a login")


async def test_configured_scopes_are_asked_for_rather_than_what_the_server_names(place: Place) -> None:
    await place.log_in(oauth={"scopes": ["read", "write"]})
    assert list(place.issuer.access.values()) == ["read write"]


async def test_a_server_with_one_stream_for_all_answers_is_logged_in_to_as_well(place: Place) -> None:
    config = {"transport": "sse", "startup_timeout_ms": 2000}
    async with daemon(place, **config) as host:
        await host.until("needs_auth", error="log in with `prx mcp login one`")
    await place.log_in(transport="sse")
    refused = place.guarded.refused
    async with daemon(place, **config) as host:
        await host.until("disconnected", error="within 2 s")  # it is let in, and is no server of that kind
    assert place.guarded.refused == refused


async def test_a_scope_that_is_lacking_is_named_and_asked_for(place: Place) -> None:
    await place.log_in()
    async with daemon(place) as host:
        await host.until("connected")
        place.guarded.wanted_scope = "tools admin"
        result = await host.call("echo")
        assert result.error is not None
        assert "`prx mcp login one --scope tools --scope admin`" in result.error.message
        place.guarded.wanted_scope = "tools"
        assert await host.output("echo") == "done"
        await place.log_in("tools", "admin")
        place.guarded.wanted_scope = "tools admin"
        host.servers.reconnect("one")
        await host.until("connected")
        assert await host.output("echo") == "done"


async def test_a_client_logs_in_by_itself(place: Place) -> None:
    oauth = {**CONFIGURED, "grant": "client_credentials", "issuer": place.issuer.issuer, "scopes": ["tools"]}
    async with daemon(place, oauth=oauth) as host:
        await host.until("connected")
        place.issuer.access.clear()
        assert await host.output("echo") == "done"
    assert place.issuer.grants() == ["client_credentials"] * 2
    assert [form.get("scope") for form in place.issuer.asked] == ["tools", "tools"]
    assert not any("client_secret" in form for form in place.issuer.asked), "it goes in the header"


async def test_a_secret_is_posted_where_that_is_the_only_way(tmp_path: Path) -> None:
    told = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    async with _place(tmp_path, told=told) as place:
        oauth = {**CONFIGURED, "grant": "client_credentials", "issuer": place.issuer.issuer}
        async with daemon(place, oauth=oauth) as host:
            await host.until("connected")
        assert place.issuer.asked[0]["client_secret"] == CONFIGURED["client_secret"]


async def test_a_client_that_is_refused_says_so_and_is_left_alone(place: Place) -> None:
    oauth = {**CONFIGURED, "grant": "client_credentials", "issuer": place.issuer.issuer}
    place.issuer.clients.clear()
    async with daemon(place, oauth=oauth) as host:
        view = await host.until("needs_auth", error="invalid_client")
        assert "correct mcp.servers.one.oauth" in str(view.error)
        assert CONFIGURED["client_secret"] not in str(view.error)
    assert place.issuer.grants() == ["client_credentials"]


async def test_a_secret_goes_to_no_other_issuer(place: Place) -> None:
    oauth = {**CONFIGURED, "grant": "client_credentials", "issuer": "https://login.example.com"}
    async with daemon(place, oauth=oauth) as host:
        await host.until("needs_auth", error="not of the configured issuer https://login.example.com")
    assert place.issuer.asked == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"issuer_told": "http://127.0.0.1:1/tenant"}, "says that it is http://127.0.0.1:1/tenant"),
        ({"answers_iss": "http://127.0.0.1:1/tenant"}, "does not come from"),
        ({"told": {"authorization_response_iss_parameter_supported": True}}, "does not come from"),
        ({"told": {"code_challenge_methods_supported": ["plain"]}}, "has no PKCE"),
        ({"told": {"registration_endpoint": None}}, "registers no clients by itself"),
        ({"told": {"token_endpoint": "http://login.example.com/give"}}, "is not encrypted"),
        ({"told": {"authorization_endpoint": "http://login.example.com/login"}}, "is not encrypted"),
        ({"told": {"padding": "x" * 300_000}}, "more than 262144 bytes"),
        ({"denies": True}, "refuses the login: access_denied: not today"),
        ({"wrong_state": True}, "nobody logged in within 1 s"),
        ({"down": True}, "HTTP 503"),
    ],
)
async def test_a_login_that_is_not_as_it_should_be_is_none(
    tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    async with _place(tmp_path, **settings) as place:
        with pytest.raises(PrxError) as refused:
            await place.log_in()
        assert reason in refused.value.message
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


async def test_a_browser_with_another_state_is_sent_away_and_the_login_waits_on() -> None:
    async with listening(None) as callback:
        early = await browse(f"{callback.redirect_uri}?state=&code=x")
        callback.expect("right")
        wrong = await browse(f"{callback.redirect_uri}?state=wrong&code=x")
        status, page = await browse(f"{callback.redirect_uri}?state=right&code=<b>")
        assert (early[0], wrong[0], status) == (400, 400, 200)
        assert "You can close this page" in page
        assert await callback.wait(1.0) == {"state": "right", "code": "<b>"}


async def test_a_server_without_a_login_is_told_apart(place: Place) -> None:
    place.guarded.server.guard = None
    place.guarded.server.wanted = None
    with pytest.raises(PrxError, match="does not ask for a login"):
        await place.log_in()
