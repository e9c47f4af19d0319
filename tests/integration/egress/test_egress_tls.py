"""TLS: the certificate must be the name's, whatever addresses the name was pinned to."""

import asyncio
import ssl
from pathlib import Path

import pytest

from prx.core.egress.errors import EgressError
from prx.runtime.egress.client import EgressClient
from tests.integration.egress.servers import Zone, accepting, fetch, ok, redirect, serving
from tests.support.certificates import SERVED, certificate, serves

__all__ = ["certificate", "serves"]  # fixtures


@pytest.fixture
def trusts(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def zone() -> Zone:
    return Zone(good=[["127.0.0.1"]], evil=[["127.0.0.1"]])


@pytest.mark.parametrize("host", SERVED)
async def test_a_name_and_an_address_are_reached_under_their_certificate(
    host: str, serves: ssl.SSLContext, trusts: ssl.SSLContext
) -> None:
    names: list[str | None] = []
    serves.sni_callback = lambda _socket, name, _context: names.append(name)
    async with serving(ok(b"secure"), tls=serves) as server, EgressClient(zone(), tls=trusts) as client:
        assert (await fetch(client, f"https://{host}:{server.port}/")).body == b"secure"
        assert server.received[0].values("Host") == [f"{host}:{server.port}"]
        assert names == [None if host == SERVED[1] else host]


async def test_another_name_of_the_same_address_is_refused_also_right_after_the_right_one(
    serves: ssl.SSLContext, trusts: ssl.SSLContext
) -> None:
    async with serving(ok(b"secure"), tls=serves) as server, EgressClient(zone(), tls=trusts) as client:
        await fetch(client, f"https://good.example:{server.port}/")
        with pytest.raises(EgressError, match="its certificate is refused: Hostname mismatch"):
            await fetch(client, f"https://evil.example:{server.port}/")
        assert len(server.received) == 1


async def test_a_certificate_that_nobody_signed_is_refused(serves: ssl.SSLContext) -> None:
    async with serving(ok(b"secure"), tls=serves) as server, EgressClient(zone()) as client:
        with pytest.raises(EgressError, match="its certificate is refused: self-signed certificate"):
            await fetch(client, f"https://good.example:{server.port}/")
        assert server.received == []


async def test_a_server_without_tls_is_an_error_that_says_so(trusts: ssl.SSLContext) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 X\r\n\r\n")
        await writer.drain()

    async with accepting(plain) as server, EgressClient(zone(), tls=trusts) as client:
        with pytest.raises(EgressError, match="no connection: TLS failed"):
            await fetch(client, f"https://good.example:{server.port}/")


async def test_plain_and_secure_are_different_origins(serves: ssl.SSLContext, trusts: ssl.SSLContext) -> None:
    async with serving(ok(b"plain")) as plain, EgressClient(zone(), tls=trusts) as client:
        async with serving(redirect(plain.url(host="good.example")), tls=serves) as secure:
            headers = [("Authorization", "Bearer a")]
            await fetch(client, f"https://good.example:{secure.port}/", headers=headers)
        assert secure.received[0].values("Authorization") == ["Bearer a"]
        assert plain.received[0].values("Authorization") == []
