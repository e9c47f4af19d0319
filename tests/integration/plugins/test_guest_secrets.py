"""Secrets between a guest and a server: they arrive at the one and never at the other."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator

import pytest

from prx.plugins.secrets import SecretStore
from prx.runtime.logging import set_level
from tests.integration.egress.servers import Received, Server, ok, reply, serving
from tests.integration.plugins.fetcher import installed, manifest
from tests.support.plugin_host import PluginHost

VALUE = 'h"nter2 is&no/secret'


async def echo(received: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with everything that was sent, as header, as body and as JSON."""
    sent = "\n".join([received.line, *(f"{name}: {value}" for name, value in received.headers)])
    sent += f"\n{received.body.decode()}\n{json.dumps(sent)}"
    key = next(iter(received.values("X-Key")), "")
    writer.write(reply(200, sent.encode(), f"X-Repeated: {key}"))


@pytest.fixture
def secrets(host: PluginHost) -> SecretStore:
    """The store of the host."""
    return SecretStore(host.data_dir)


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Log everything, and return what was logged so far."""
    set_level("trace")
    yield lambda: capsys.readouterr().err
    set_level("warn")


async def test_a_secret_arrives_at_the_server_and_neither_at_the_guest_nor_in_the_log(
    host: PluginHost, secrets: SecretStore, logged: Callable[[], str]
) -> None:
    secrets.set("KEY", VALUE)
    host.configure(allow_private_targets=True)
    async with serving(echo) as server:
        text = manifest([server.url()], 'key = "secret:KEY"\nunits = "metric"\n')
        async with installed(host, text) as guest:
            placeholder = await guest.setting("key")
            assert placeholder.startswith("prx-secret-")
            assert await guest.setting("units") == "metric"
            basic = base64.b64encode(f"user:{placeholder}".encode()).decode()
            got = await guest.got(
                server.url(f"/?token={placeholder}"),
                method="POST",
                headers=[
                    ("X-Key", placeholder),
                    ("Authorization", f"Basic {basic}"),
                    ("Content-Type", "text/json+json"),
                ],
                body=json.dumps({"key": placeholder}).encode(),
            )
            [received] = server.received
            assert received.line == "POST /?token=h%22nter2%20is%26no%2Fsecret HTTP/1.1"
            assert received.values("X-Key") == [VALUE]
            [authorization] = received.values("Authorization")
            assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == f"user:{VALUE}"
            assert json.loads(received.body) == {"key": VALUE}
            everything = got["body"].decode() + str(got["headers"])
            assert got["headers"] == [["x-repeated", placeholder]]
            assert f"token={placeholder}" in everything
            assert f"Basic {basic}" in everything
            assert "nter2" not in everything
        lines = logged()
        assert f"origin=http://127.0.0.1:{server.port}" in lines
        assert "nter2" not in lines


async def test_a_secret_is_not_put_into_a_path_and_not_sent_off_the_list(
    host: PluginHost, secrets: SecretStore
) -> None:
    secrets.set("KEY", VALUE)
    host.configure(allow_private_targets=True)
    async with (
        serving(ok()) as server,
        serving(ok()) as other,
        installed(host, manifest([server.url()], 'key = "secret:KEY"\n')) as guest,
    ):
        placeholder = await guest.setting("key")
        told = await guest.refused(server.url(f"/{placeholder}"))
        assert "a secret is put into header values, the query and the body, not the path" in told
        headers = [("X-Key", placeholder)]
        assert "http_allowlist" in await guest.refused(other.url(), headers=headers)
        assert (server.connections, other.connections) == (0, 0)


async def test_a_redirect_does_not_carry_a_secret_to_another_origin_nor_tell_it(
    host: PluginHost, secrets: SecretStore
) -> None:
    secrets.set("KEY", "hunter2-is-no-secret")
    host.configure(allow_private_targets=True)
    servers: list[Server] = []

    async def tell(received: Received, writer: asyncio.StreamWriter) -> None:
        [key] = received.values("X-Key")
        writer.write(reply(302, b"", f"Location: http://127.0.0.1:{servers[0].port}/{key}"))

    async with serving(ok()) as second, serving(tell) as first:
        servers.append(second)
        listed = [first.url(), second.url("/allowed")]
        async with installed(host, manifest(listed, 'key = "secret:KEY"\n')) as guest:
            placeholder = await guest.setting("key")
            told = await guest.refused(first.url(), headers=[("X-Key", placeholder)])
            assert "hunter2" not in told
            assert f"/{placeholder} is not on the plugin's http_allowlist" in told
            assert second.connections == 0


async def test_a_secret_that_is_not_set_is_told_with_the_command_that_sets_it_and_works_from_then_on(
    host: PluginHost, secrets: SecretStore
) -> None:
    host.configure(allow_private_targets=True)
    async with (
        serving(ok(b"x")) as server,
        installed(host, manifest([server.url()], 'key = "secret:SET_LATER"\n')) as guest,
    ):
        request = {"headers": [("X-Key", await guest.setting("key"))]}
        assert "prx secret set SET_LATER" in await guest.refused(server.url(), **request)
        assert server.connections == 0
        secrets.set("SET_LATER", VALUE)
        assert (await guest.got(server.url(), **request))["body"] == b"x"
        assert server.received[0].values("X-Key") == [VALUE]


async def test_a_secret_of_two_lines_does_not_make_two_headers(
    host: PluginHost, secrets: SecretStore
) -> None:
    secrets.set("LINES", "hunter2\r\nHost: internal")
    host.configure(allow_private_targets=True)
    async with (
        serving(ok()) as server,
        installed(host, manifest([server.url()], 'key = "secret:LINES"\n')) as guest,
    ):
        told = await guest.refused(server.url(), headers=[("X-Key", await guest.setting("key"))])
        assert "the header X-Key holds a control character" in told
        assert "hunter2" not in told
        assert server.connections == 0


async def test_the_ledger_does_not_repeat_where_a_server_that_has_a_secret_redirects_to(
    host: PluginHost, secrets: SecretStore
) -> None:
    secrets.set("KEY", "Hunter2")

    async def tell(received: Received, writer: asyncio.StreamWriter) -> None:
        where = next(iter(received.values("X-Key")), "nothing")
        writer.write(reply(302, b"", f"Location: https://{where}.example/"))

    host.configure(allow_private_targets=True)
    async with (
        serving(tell) as server,
        installed(host, manifest([server.url()], 'key = "secret:KEY"\n')) as guest,
    ):
        await guest.refused(server.url(), headers=[("X-Key", await guest.setting("key"))])
        assert host.catalogue.grants_of("fetcher")["denials"] == []
        await guest.refused(server.url())
        [denial] = host.catalogue.grants_of("fetcher")["denials"]
        assert denial["operation"] == "http-outbound.request https://nothing.example/"
