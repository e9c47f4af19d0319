"""Logging in to MCP servers with OAuth: with a browser, without anybody, and for as long as it lasts."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from prx.config.integrations import McpServerConfig, OAuthConfig
from prx.core.errors import NotFoundError, PrxError, UnavailableError
from prx.mcp.client.authorize import log_in
from prx.mcp.client.logins import Login, LoginStore
from tests.support.http_mcp import HttpServer, http_server
from tests.support.mcp_host import mcp_host
from tests.support.oauth_server import OAuthServer, browse, oauth_server


def reaching(server: HttpServer, **config: Any) -> dict[str, McpServerConfig]:
    return {"one": McpServerConfig.model_validate({"url": server.url, **config})}


async def logged_in(server: HttpServer, **oauth: Any) -> Login:
    """Log in as a person with a browser would."""
    pages: list[asyncio.Future[str]] = []
    login = await log_in(
        server.url,
        OAuthConfig.model_validate(oauth),
        lambda address: pages.append(asyncio.ensure_future(browse(address))),
    )
    assert "close this page" in await pages[0]
    return login


async def test_a_person_logs_in_and_the_server_connects(tmp_path: Path) -> None:
    async with (
        http_server() as server,
        oauth_server(server) as authority,
        mcp_host(tmp_path, reaching(server)) as host,
    ):
        await host.until("needs_auth", error="it asks for a login (HTTP 401)")
        (problem,) = host.servers.problems()
        assert "prx mcp login one" in problem.action
        login = await logged_in(server)
        assert authority.clients[login.client_id]["client_name"] == "PRX"
        assert authority.asked[0]["resource"] == server.url
        LoginStore(tmp_path).set("one", server.url, login)
        host.servers.reconnect("one")
        await host.until("connected")
        assert await host.output("echo") == "done"


async def test_a_login_is_encrypted_and_counts_for_its_server_and_address_alone(tmp_path: Path) -> None:
    login = a_login(access_token="secret-of-one")  # noqa: S106
    store = LoginStore(tmp_path)
    store.set("one", "https://a.example/mcp", login)
    store.set("two", "https://a.example/mcp", login.model_copy(update={"access_token": "secret-of-two"}))
    assert store.get("one", "https://a.example/mcp") == login
    assert store.get("one", "https://evil.example/mcp") is None
    assert store.get("three", "https://a.example/mcp") is None
    path = tmp_path / "mcp-logins.json"
    assert "secret-of" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    store.remove("one")
    with pytest.raises(NotFoundError):
        store.remove("one")
    path.write_text("[]")
    with pytest.raises(PrxError, match="log in again"):
        store.get("one", "https://a.example/mcp")


def a_login(**changes: Any) -> Login:
    known = Login(
        access_token="old",  # noqa: S106
        expires_at=None,
        refresh_token=None,
        token_endpoint="http://127.0.0.1:1/token",  # noqa: S106
        client_id="client",
        client_secret=None,
        client_auth="none",
        resource=None,
    )
    return known.model_copy(update=changes)


def kept(tmp_path: Path, server: HttpServer, authority: OAuthServer, **changes: Any) -> LoginStore:
    """Keep a login that can be renewed."""
    given = authority.issue()
    store = LoginStore(tmp_path)
    known = {
        "access_token": given["access_token"],
        "refresh_token": given["refresh_token"],
        "token_endpoint": f"{authority.url}/token",
    }
    store.set("one", server.url, a_login(**(known | changes)))
    return store


async def test_a_token_that_ends_soon_is_renewed_once_however_many_calls_wait(tmp_path: Path) -> None:
    async with http_server() as server, oauth_server(server) as authority:
        store = kept(tmp_path, server, authority, expires_at=time.time() + 30)
        async with mcp_host(tmp_path, reaching(server)) as host:
            await host.until("connected")
            await asyncio.gather(*(host.output("echo") for _ in range(10)))
            assert [form["grant_type"] for form in authority.asked] == ["refresh_token"]
        renewed = store.get("one", server.url)
        assert renewed is not None
        assert server.wanted == f"Bearer {renewed.access_token}"
        assert renewed.refresh_token == authority.refresh_token


AS_POST = {"client_secret": "hunter2hunter2", "client_auth": "client_secret_post"}


async def test_a_token_that_is_refused_before_its_time_is_renewed_and_the_call_runs(tmp_path: Path) -> None:
    async with http_server() as server, oauth_server(server) as authority:
        kept(tmp_path, server, authority, **AS_POST)
        async with mcp_host(tmp_path, reaching(server)) as host:
            await host.until("connected")
            server.wanted = "Bearer another"
            results = await asyncio.gather(*(host.output("echo") for _ in range(5)))
            assert results == ["done"] * 5
            assert len(authority.asked) == 1
            assert authority.asked[0]["client_secret"] == AS_POST["client_secret"]
            assert host.view().restarts == 0


async def test_a_login_that_cannot_be_renewed_is_over_and_somebody_has_to_log_in_again(
    tmp_path: Path,
) -> None:
    async with http_server() as server, oauth_server(server) as authority:
        store = kept(tmp_path, server, authority)
        async with mcp_host(tmp_path, reaching(server)) as host:
            await host.until("connected")
            server.wanted, authority.is_over = "Bearer another", True
            with pytest.raises(UnavailableError, match="its login has ended"):
                await host.call("echo")
            await host.until("needs_auth", error="its login has ended (HTTP 400 when it was renewed)")
            authority.is_over = False
            store.set("one", server.url, await logged_in(server))
            host.servers.reconnect("one")
            await host.until("connected")


async def test_an_authorization_server_that_is_down_ends_no_login(tmp_path: Path) -> None:
    async with http_server() as server, oauth_server(server) as authority:
        store = kept(tmp_path, server, authority, token_endpoint="http://127.0.0.1:1/token")  # noqa: S106
        async with mcp_host(tmp_path, reaching(server)) as host:
            await host.until("connected")
            server.wanted = "Bearer another"
            with pytest.raises(UnavailableError, match="its login cannot be renewed"):
                await host.call("echo")
            assert store.get("one", server.url) is not None
            assert host.view().status != "needs_auth"


async def test_a_client_logs_in_by_itself_and_again_when_its_token_ends(tmp_path: Path) -> None:
    async with http_server() as server, oauth_server(server) as authority:
        oauth = {
            "grant": "client_credentials",
            "issuer": authority.url,
            "client_id": "machine",
            "client_secret": "hunter2hunter2",
        }
        async with mcp_host(tmp_path, reaching(server, oauth=oauth)) as host:
            await host.until("connected")
            assert [form["grant_type"] for form in authority.asked] == ["client_credentials"]
            server.wanted = "Bearer another"
            assert await host.output("echo") == "done"
            assert len(authority.asked) == 2


async def test_a_client_whose_credentials_are_refused_needs_others(tmp_path: Path) -> None:
    async with http_server() as server, oauth_server(server) as authority:
        oauth = {
            "grant": "client_credentials", "issuer": authority.url, "client_id": "machine", "client_secret": "wrong",
        }  # fmt: skip
        async with mcp_host(tmp_path, reaching(server, oauth=oauth)) as host:
            await host.until("needs_auth", error="the login failed")


async def test_credentials_are_sent_to_the_configured_authorization_server_alone(tmp_path: Path) -> None:
    async with http_server() as server, oauth_server(server) as authority:
        oauth = {
            "grant": "client_credentials", "issuer": "https://login.example", "client_id": "machine",
            "client_secret": "hunter2hunter2",
        }  # fmt: skip
        async with mcp_host(tmp_path, reaching(server, oauth=oauth)) as host:
            await host.until("needs_auth", error="the login failed")
        assert authority.asked == []


async def test_a_server_that_asks_for_no_login_is_told_so() -> None:
    async with http_server() as server:
        with pytest.raises(PrxError, match="asks for no login"):
            await log_in(server.url, OAuthConfig(), print)


async def test_configured_scopes_are_asked_for_and_a_refusal_is_told() -> None:
    shown: list[str] = []

    async def refuse(address: str) -> None:
        back = address.partition("redirect_uri=")[2].partition("&")[0].replace("%3A", ":").replace("%2F", "/")
        await browse(f"{back}?error=access_denied&error_description=not+you")

    def show(address: str) -> None:
        shown.append(address)
        refusals.append(asyncio.ensure_future(refuse(address)))

    refusals: list[asyncio.Future[None]] = []
    async with http_server() as server, oauth_server(server):
        with pytest.raises(PrxError, match="it was refused: not you"):
            await log_in(server.url, OAuthConfig(scopes=("read",)), show)
        await refusals[0]
    assert "scope=read&" in f"{shown[0]}&"
