"""Request bodies before anybody reads them: too large, compressed, held back, broken off."""

import asyncio
import gzip

import pytest

from prx.runtime.logging import LogOutput
from prx.runtime.logs.book import LogBook
from prx.runtime.logs.query import LogQuery
from tests.integration.api.api_harness import Api

_PATH = "/api/v1/tools/echo/call"
_BODY = b'{"arguments": {"text": "hi"}}'


async def test_a_body_that_is_announced_as_too_large_is_refused_before_it_comes(api: Api) -> None:
    [reply] = await api.raw(_post(api, b"Content-Length: 99999999"))
    assert (reply.status, reply.error["code"]) == (413, "payload_too_large")


async def test_a_compressed_body_is_refused_and_not_unpacked(api: Api) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    reply = await api.post(_PATH, data=bomb, headers=headers)
    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")
    assert "Content-Encoding" in reply.error["message"]
    plain = {"Content-Type": "application/json", "Content-Encoding": "identity"}
    assert (await api.post(_PATH, data=_BODY, headers=plain)).status == 200


async def test_a_body_that_waits_to_be_asked_for_is_asked_for_only_when_the_request_is_admitted(
    api: Api,
) -> None:
    waiting = b"Expect: 100-continue\r\nContent-Length: 29"
    refused = await api.raw_bytes(_post(api, waiting, bearer="prx_wrong"))
    assert refused.startswith(b"HTTP/1.1 401 ")
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(_post(api, waiting))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(_BODY)
    assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_breaks_off_in_rubbish_is_no_fault_of_the_daemon(api: Api, book: LogBook) -> None:
    output = LogOutput("debug", "json", keep=book.put)
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(_post(api, b"Expect: 100-continue\r\nTransfer-Encoding: chunked"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"rubbish\r\n")
        answered = await reader.read()
        writer.close()
        await writer.wait_closed()
    finally:
        output.close()
    assert answered.startswith(b"HTTP/1.1 400 ")
    page = await book.search(LogQuery(level="warn", module=None, since=b""), limit=10)
    assert page.lines == []


@pytest.mark.parametrize(("rest", "status"), [(_BODY[9:], 200), (b"{" + _BODY[10:], 400)])
async def test_a_body_that_is_on_its_way_when_the_daemon_drains_still_comes(
    api: Api, rest: bytes, status: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(_post(api, b"Expect: 100-continue\r\nContent-Length: 29"))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(_BODY[:9])
    assert api.runner is not None
    draining = asyncio.create_task(api.runner.drain(60))
    await asyncio.wait({draining}, timeout=0)
    writer.write(rest)
    assert (await reader.read()).startswith(f"HTTP/1.1 {status} ".encode())
    await draining
    writer.close()
    await writer.wait_closed()


def _post(api: Api, more: bytes, *, bearer: str | None = None) -> bytes:
    known = f"Authorization: Bearer {bearer or api.token}\r\n".encode()
    return (
        b"POST /api/v1/tools/echo/call HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"Host: localhost\r\n" + known + more + b"\r\n\r\n"
    )  # fmt: skip
