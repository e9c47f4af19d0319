"""How long a piece of a model's answer takes through the daemon: from the provider's write to the client's read.

    python -m benchmarks.model_stream [--rounds 20] [--pieces 200]

A server on this machine speaks a provider's real protocol and writes the time into each piece, 5 ms apart. The same
stream read from that server by bare aiohttp is what the daemon is compared with.
"""

import argparse
import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import aiohttp
from aiohttp import web

from benchmarks.programs import PrxHome
from benchmarks.report import Report
from tests.support.model_dialects import ChatCompletions, Dialect, Messages, Said
from tests.support.model_server import ModelServer, Reply, Step, model_server

_DIALECTS: dict[str, Dialect] = {"chat completions": ChatCompletions(), "anthropic": Messages()}
_PAUSE_SECS = 0.005
_TARGET_MS = 2.0
_MARK = "t1234567890123456789"
"""Stands for the time, and is as long."""
_TIME = re.compile(rb"t(\d{19})")

Read = Callable[[], AsyncIterator[float]]


def main() -> None:
    """Measure and keep the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--pieces", type=int, default=200)
    options = parser.parse_args()
    report = Report("model_stream", "Pieces of a model's answer", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        found = asyncio.run(_measure(Path(scratch), options.rounds, options.pieces))
    report.table(
        ("way", "median, ms", "p99, ms"),
        [
            (name, f"{median(times):.2f}", f"{quantiles(times, n=100)[98]:.2f}")
            for name, times in found.items()
        ],
    )
    for name in _DIALECTS:
        added = median(found[f"{name}, through PRX"])
        report.target(f"{name}: from the provider's write to the client's read", added, _TARGET_MS, " ms")
    report.keep()


async def _measure(home: Path, rounds: int, pieces: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    async with model_server() as models, aiohttp.ClientSession() as client:
        for name, dialect in _DIALECTS.items():
            settings = {
                "provider.name": "it",
                "provider.model": "m",
                "provider.others.it.type": dialect.kind,
                "provider.others.it.base_url": models.url + dialect.prefix,
                "provider.others.it.api_key": "k",
                "gateway.rate_limits.sessions_write": 0,
                "agent.max_turns": 10_000,
            }
            prx = PrxHome(home / dialect.kind, settings)
            with prx.program.start() as server:
                await asyncio.to_thread(server.secs_to_healthy)
                ask = await _through_prx(client, prx)
                ways = {"through PRX": ask, "bare aiohttp": _bare(client, models, dialect)}
                for number in range(rounds + 1):
                    for way, read in ways.items():
                        models.replies.append(_stamped(dialect, pieces))
                        delays = [delay async for delay in read()]
                        assert len(delays) == pieces, delays
                        if number:  # the first round warms up
                            found.setdefault(f"{name}, {way}", []).extend(delays)
    return found


def _stamped(dialect: Dialect, pieces: int) -> Reply:
    """Return an answer whose pieces are the times at which they are written."""
    whole = dialect.answer(Said([f"{_MARK} "] * pieces))
    return Reply([_stamp(step) for step in whole.steps], whole.status, whole.headers)


def _stamp(step: Step) -> Step:
    if not isinstance(step, bytes) or _MARK.encode() not in step:
        return step
    return _Stamped(step)


class _Stamped:
    """Waits, then writes a piece with the time in it."""

    def __init__(self, step: bytes) -> None:
        self._step = step

    async def __call__(self, _request: web.Request, response: web.StreamResponse) -> None:
        await asyncio.sleep(_PAUSE_SECS)
        now = f"t{time.monotonic_ns():019}"
        await response.write(self._step.replace(_MARK.encode(), now.encode()))


async def _through_prx(client: aiohttp.ClientSession, prx: PrxHome) -> Read:
    """Return what sends a message to the daemon and reads its stream."""
    url = f"http://127.0.0.1:{prx.program.port}/api/v1/sessions"
    headers = {"Authorization": f"Bearer {await asyncio.to_thread(prx.token)}", "Accept": "text/event-stream"}
    body = {"channel": "api", "user_id": "benchmark"}
    async with client.post(url, json=body, headers=headers) as answer:
        session = (await answer.json())["id"]

    async def read() -> AsyncIterator[float]:
        async with client.post(
            f"{url}/{session}/messages", json={"content": "Go"}, headers=headers
        ) as answer:
            async for delay in _delays(answer):
                yield delay

    return read


def _bare(client: aiohttp.ClientSession, models: ModelServer, dialect: Dialect) -> Read:
    """Return what reads the same stream from the provider."""

    async def read() -> AsyncIterator[float]:
        async with client.post(f"{models.url}{dialect.prefix}/", json={}) as answer:
            async for delay in _delays(answer):
                yield delay

    return read


async def _delays(answer: aiohttp.ClientResponse) -> AsyncIterator[float]:
    """Yield how many milliseconds ago each piece was written, when it is read."""
    assert answer.status == 200, await answer.text()
    async for line in answer.content:
        now = time.monotonic_ns()
        # The whole answer, which follows at the end, has all of them.
        if len(times := _TIME.findall(line)) == 1:
            yield (now - int(times[0])) / 1e6


if __name__ == "__main__":
    main()
