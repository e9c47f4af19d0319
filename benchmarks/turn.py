"""What a turn costs beside the model: a message that calls one WASM tool, by way of a model that takes no time.

    python -m benchmarks.turn [--rounds 500] [--streams 200]

The built-in provider asks for the tool and repeats what it gave back, so that all of the time is PRX's: two writes to
the disk, two requests to the model, one call in the sandbox. Beside it the same call without an agent, and a write and
sync of the disk alone, which is what an acknowledged message cannot do without. Then how long a piece of text takes
from the provider, a server of this process, to the reader of the stream.
"""

import argparse
import asyncio
import http.client
import json
import os
import time
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web

from benchmarks.programs import PrxHome
from benchmarks.report import Report
from tests.components.corpus import component

_TARGET_MS = 5.0
_TARGET_TOKEN_MS = 2.0
_FREE = {
    "gateway.rate_limits.sessions_write": 0,
    "gateway.rate_limits.sessions_read": 0,
    "agent.max_turns": 10_000,
}
_TURN = {"content": '/echo_echo {"text": "hello"}'}


def main() -> None:
    """Measure and keep the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--streams", type=int, default=200)
    options = parser.parse_args()
    report = Report("turn", "A turn", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        found = _turns(Path(scratch) / "turns", options.rounds)
        tokens = asyncio.run(_tokens(Path(scratch) / "tokens", options.streams))
    report.table(
        ("what", "p50, ms", "p99, ms"),
        [(name, f"{median(times):.2f}", f"{_p99(times):.2f}") for name, times in found.items()]
        + [("a piece of text, from provider to reader", f"{median(tokens):.2f}", f"{_p99(tokens):.2f}")],
    )
    report.target(
        "p50 of a turn with one tool call", median(found["a turn with one tool call"]), _TARGET_MS, " ms"
    )
    report.target("p50 of a piece of text, from provider to reader", median(tokens), _TARGET_TOKEN_MS, " ms")
    report.keep()


def _turns(home: Path, rounds: int) -> dict[str, list[float]]:
    """Return times in ms; turns in sessions of their own, so that each has a short conversation behind it."""
    prx = PrxHome(home, _FREE)
    prx.add_components({"echo": component("echo")})
    with prx.program.start() as server:
        server.secs_to_healthy()
        prx.wait_until_compiled(server)
        caller = _Caller(prx)
        found: dict[str, list[float]] = {
            "a turn with one tool call": [],
            "the tool call alone": [],
            "a sync": [],
        }
        session = ""
        with (home / "synced").open("wb") as file:
            for number in range(rounds):
                if number % 10 == 0:
                    begun, _ = caller.post("/sessions", {"channel": "api", "user_id": "bench"})
                    session = begun["id"]
                answer, taken = caller.post(f"/sessions/{session}/messages", _TURN)
                assert answer["content"] == "hello", answer
                found["a turn with one tool call"].append(taken)
                _, taken = caller.post("/tools/echo_echo/call", {"arguments": {"text": "hello"}})
                found["the tool call alone"].append(taken)
                began = time.perf_counter()
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
                found["a sync"].append((time.perf_counter() - began) * 1000)
        return found


class _Caller:
    """One connection to one daemon."""

    def __init__(self, prx: PrxHome) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", prx.program.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {prx.token()}", "Content-Type": "application/json"}

    def post(self, path: str, body: Any) -> tuple[Any, float]:
        """Return the answer, and how many ms it took."""
        sent = json.dumps(body)
        began = time.perf_counter()
        self._connection.request("POST", f"/api/v1{path}", sent, self._headers)
        answer = json.loads(self._connection.getresponse().read())
        return answer, (time.perf_counter() - began) * 1000


async def _tokens(home: Path, streams: int) -> list[float]:
    """Return how many ms each piece took from a provider that speaks OpenAI's protocol to the reader of the stream."""
    sent: list[float] = []
    read = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(streams):
            read.clear()
            sent.append(time.perf_counter())
            await response.write(_chunk({"content": "word "}, None))
            await read.wait()
        await response.write(_chunk({}, "stop") + b"data: [DONE]\n\n")
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    prx = PrxHome(home, _FREE | {"provider.name": "bench", "provider.model": "m", "provider.base_url": url})
    try:
        with prx.program.start() as server:
            await asyncio.to_thread(server.secs_to_healthy)
            token = await asyncio.to_thread(prx.token)
            return await _read(f"http://127.0.0.1:{prx.program.port}/api/v1", token, sent, read)
    finally:
        await runner.cleanup()


async def _read(url: str, token: str, sent: list[float], read: asyncio.Event) -> list[float]:
    taken = []
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as client:
        async with client.post(f"{url}/sessions", json={"channel": "api", "user_id": "bench"}) as begun:
            session = (await begun.json())["id"]
        headers = {"Accept": "text/event-stream"}
        path = f"{url}/sessions/{session}/messages"
        async with client.post(path, json={"content": "hello"}, headers=headers) as stream:
            async for line in stream.content:
                if line.startswith(b"event: token"):
                    taken.append((time.perf_counter() - sent[-1]) * 1000)
                    read.set()
    return taken


def _chunk(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]


if __name__ == "__main__":
    main()
