"""Failures are told apart by their kind, and a wait ends when the caller says, not only with the whole."""

import asyncio

import pytest

from prx.core.egress.errors import (
    EgressAddressError,
    EgressBrokenError,
    EgressConnectionError,
    EgressError,
    EgressNameError,
    EgressTimeoutError,
    EgressTlsError,
)
from prx.core.egress.target import Target
from prx.runtime.egress.client import EgressClient, Patience, Response
from tests.integration.egress.servers import (
    LAX,
    STRICT,
    Received,
    accepting,
    fetch,
    ok,
    serving,
    silent,
)

_SOON = 0.02


async def patient(url: str, patience: Patience) -> Response:
    """Send one request that has a minute for the whole."""
    async with EgressClient() as client:
        return await client.request(
            "GET", Target.parse(url), policy=LAX, timeout_secs=60, max_response_bytes=100, patience=patience
        )


async def test_each_kind_of_failure_has_a_class_of_its_own() -> None:
    async with (
        EgressClient() as client,
        accepting(_greet) as mail,
        accepting(_hang_up) as closing,
    ):
        cases: list[tuple[str, type[EgressError]]] = [
            ("http://nowhere.invalid/", EgressNameError),
            ("http://127.0.0.1:9/", EgressConnectionError),
            (mail.url(), EgressBrokenError),
            (closing.url(), EgressBrokenError),
            (mail.url().replace("http:", "https:"), EgressTlsError),
        ]
        for url, kind in cases:
            with pytest.raises(EgressError) as caught:
                await fetch(client, url)
            assert type(caught.value) is kind, url
        with pytest.raises(EgressAddressError):
            await fetch(client, mail.url(), policy=STRICT)


async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 smtp.example.com\r\n\r\n")


async def _hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def test_the_first_byte_is_waited_for_as_long_as_was_said() -> None:
    async with serving(silent) as server:
        with pytest.raises(EgressTimeoutError, match="was silent for too long"):
            await patient(server.url(), Patience(first_byte=_SOON))


async def test_so_are_further_bytes() -> None:
    async def begin(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        await silent(received, writer)

    async with serving(begin) as server:
        with pytest.raises(EgressTimeoutError, match="was silent for too long"):
            await patient(server.url(), Patience(between_bytes=_SOON))


async def test_what_is_in_time_arrives() -> None:
    async with serving(ok(b"there")) as server:
        assert (await patient(server.url(), Patience(30, 30, 30))).body == b"there"
