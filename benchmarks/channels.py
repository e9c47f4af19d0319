"""What connected channels cost the daemon: at rest, and for each message beside the turn alone.

    python -m benchmarks.channels [--rounds 20] [--calls 10] [--window 60]

At rest a real daemon is connected once, which loads what the platform's adapter needs, and weighed before and after it
is connected 100 times more, since a few find room in what the start has left; its processor time is that with 20 more.
The platforms are ngIRCd and the emulated Telegram of the tests, whose own memory and time are not counted. Then a
message that calls one WASM tool by way of the built-in provider: through the API, which is the turn itself, in turn
with a webhook channel and IRC. What ngIRCd takes to pass a line on and back is told beside them.
"""

import asyncio
import http.client
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w

from benchmarks.options import server_options
from benchmarks.processes import Server
from benchmarks.programs import PrxHome
from benchmarks.report import Report
from prx.core.webhook import SIGNED_HEADERS, signature
from tests.components.corpus import component
from tests.support.certificates import made_certificate
from tests.support.irc_user import irc_user
from tests.support.platforms.telegram import TelegramServer
from tests.support.rehearsals.emulated import TelegramRehearsal
from tests.support.rehearsals.irc import IrcRehearsal, irc_rehearsal
from tests.support.servers.ngircd import PASSWORD

_MANY = 20
_WEIGHED = 100
_MOST_MIB = 5.0
_MOST_PERCENT = 1.0
_MOST_ADDED_MS = 3.0
_SETTLE_SECS = 5.0
_CONNECT_SECS = 60.0
_LOOK_SECS = 0.1
# ngIRCd sends no line while the one before is not acknowledged, which systems put off for up to 40 ms.
_PAUSE_SECS = 0.1
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # the specification's own example
_FREE = {
    "gateway.rate_limits.sessions_write": 0,
    "gateway.rate_limits.sessions_read": 0,
    "agent.max_turns": 10_000,
}
_TEXT = '/echo {"text": "hello"}'
_ANSWER = "hello"
_TURN = "the API, which is the turn itself"
_WEBHOOK = "a webhook channel"
_IRC = "IRC"
_NGIRCD = "ngIRCd alone, there and back"

Tables = dict[str, dict[str, Any]]
Say = Callable[[], Awaitable[object]]


async def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=20, calls=10, window_secs=60.0)
    report = Report("channels", "Connected channels", str(__doc__).partition("\n")[0])
    with TemporaryDirectory() as scratch:
        home = Path(scratch)
        certificate = made_certificate(home)
        async with irc_rehearsal(certificate) as rehearsal:
            tables = {f"irc{number}": _irc_table(rehearsal, f"bot{number}") for number in range(_WEIGHED + 1)}
            await _at_rest(report, "IRC", home / "irc", tables, options.window)
        async with _telegrams(_WEIGHED + 1) as tables:
            await _at_rest(report, "Telegram", home / "telegram", tables, options.window)
        await _latency(report, home / "latency", certificate, options.rounds, options.calls)
    report.keep()


async def _at_rest(report: Report, platform: str, home: Path, tables: Tables, window_secs: float) -> None:
    prx = PrxHome(home)
    memory, percent = {}, {}
    with prx.program.start() as server:
        for more in (0, _MANY, _WEIGHED):
            _configure(prx, dict(islice(tables.items(), more + 1)))
            await _connected(prx, server, more + 1)
            await asyncio.sleep(_SETTLE_SECS)
            memory[more] = (await asyncio.to_thread(server.memory)).private
            percent[more] = await _percent(server, window_secs)
    report.say(f"## At rest, by {platform}\n")
    report.table(
        ("channels", "memory that no other process shares, MiB", "processor time, %"),
        [(str(more + 1), f"{memory[more]:.1f}", f"{percent[more]:.2f}") for more in memory],
    )
    each = (memory[_WEIGHED] - memory[0]) / _WEIGHED
    report.target("memory for each channel", each, _MOST_MIB, " MiB")
    report.target(f"processor time of the daemon, {_MANY} channels", percent[_MANY], _MOST_PERCENT, " %")
    report.say("")


async def _percent(server: Server, window_secs: float) -> float:
    """Return the percentage of a core that the daemon takes."""
    busy, began = server.own_cpu_secs(), time.monotonic()
    await asyncio.sleep(window_secs)
    return (server.own_cpu_secs() - busy) / (time.monotonic() - began) * 100


async def _latency(report: Report, home: Path, certificate: Path, rounds: int, calls: int) -> None:
    """Have both ways of a message in turn within each round, in a session of its own."""
    prx = PrxHome(home, _FREE)
    async with irc_rehearsal(certificate) as rehearsal, _passing_on(rehearsal) as passed_on:
        shop = {"type": "webhook", "secret": _SECRET, "allowed_users": ["*"]}
        (prx.plugins / "echo.wasm").write_bytes(component("echo"))
        _configure(prx, {"shop": shop, "irc": _irc_table(rehearsal, "prx")})
        with prx.program.start() as server:
            await _connected(prx, server, 2)
            await _until(server, lambda: prx.ask("status")["plugins"]["loaded"] == 1)
            caller = _Caller(prx, await asyncio.to_thread(prx.token))

            async def on_irc() -> None:
                await rehearsal.say(_TEXT)
                assert await rehearsal.read() == _ANSWER

            found: dict[str, list[float]] = {_TURN: [], _WEBHOOK: [], _IRC: [], _NGIRCD: []}
            for number in range(rounds):
                session = await asyncio.to_thread(caller.session)
                await rehearsal.say("/new")
                await rehearsal.read()
                ways: dict[str, Say] = {
                    _TURN: lambda session=session: asyncio.to_thread(caller.turn, session),
                    _WEBHOOK: lambda user=f"u{number}": asyncio.to_thread(caller.push, user),
                    _IRC: on_irc,
                    _NGIRCD: passed_on,
                }
                for say in ways.values():
                    await say()  # the first one begins a session
                for _ in range(calls):
                    for name, say in ways.items():
                        await asyncio.sleep(_PAUSE_SECS)
                        found[name].append(await _millis(say))
    _tell(report, found)


def _tell(report: Report, found: dict[str, list[float]]) -> None:
    report.say("## From a message to its answer\n")
    report.table(
        ("by", "p50, ms", "p99, ms"),
        [
            (name, f"{median(times):.2f}", f"{quantiles(times, n=100)[98]:.2f}")
            for name, times in found.items()
        ],
    )
    turn = median(found[_TURN])
    report.target("added by a webhook channel, p50", median(found[_WEBHOOK]) - turn, _MOST_ADDED_MS, " ms")
    irc = median(found[_IRC]) - median(found[_NGIRCD]) - turn
    report.target("added by IRC beside ngIRCd itself, p50", irc, _MOST_ADDED_MS, " ms")


class _Caller:
    """One connection to one daemon."""

    def __init__(self, prx: PrxHome, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", prx.program.port, timeout=60)
        self._bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._pushed = 0

    def session(self) -> str:
        """Begin a session."""
        begun = self._post("/api/v1/sessions", {"channel": "api", "user_id": "bench"}, self._bearer)
        return str(begun["id"])

    def turn(self, session: str) -> None:
        """Say something without a channel."""
        answer = self._post(f"/api/v1/sessions/{session}/messages", {"content": _TEXT}, self._bearer)
        assert answer["content"] == _ANSWER, answer

    def push(self, user: str) -> None:
        """Say something over the webhook channel."""
        self._pushed += 1
        message_id, second = f"m{self._pushed}", str(int(time.time()))
        body = {"user": user, "text": _TEXT}
        signed = signature(_SECRET, message_id, second, json.dumps(body).encode())
        headers = dict(zip(SIGNED_HEADERS, (message_id, second, signed), strict=True))
        answer = self._post("/channels/shop", body, headers)
        assert answer["text"] == _ANSWER, answer

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Any:
        self._connection.request("POST", path, json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status < http.HTTPStatus.BAD_REQUEST, content
        return content


@asynccontextmanager
async def _passing_on(rehearsal: IrcRehearsal) -> AsyncIterator[Say]:
    """Yield what has a line passed on by the server to a third user, and one back."""
    async with AsyncExitStack() as people:
        port = rehearsal.server.port
        here, there = [
            await people.enter_async_context(irc_user(port, PASSWORD, nick)) for nick in ("here", "there")
        ]

        async def passed_on() -> None:
            here.say("there", _TEXT)
            there.say("here", await there.read())
            await here.read()

        yield passed_on


@asynccontextmanager
async def _telegrams(count: int) -> AsyncIterator[Tables]:
    """Have as many emulated platforms, each with one bot; yield their tables."""
    async with AsyncExitStack() as servers:
        tables: Tables = {}
        for number in range(count):
            server = await servers.enter_async_context(TelegramServer())
            # One account is connected once: each bot has a token of its own.
            server.token = f"{number}:bench"
            table = TelegramRehearsal(server).table() | {"bot_token": server.token}
            tables[f"telegram{number}"] = table | {"type": "telegram", "allowed_users": ["*"]}
        yield tables


def _irc_table(rehearsal: IrcRehearsal, nick: str) -> dict[str, Any]:
    return rehearsal.table() | {"type": "irc", "nick": nick, "allowed_users": ["*"]}


def _configure(prx: PrxHome, tables: Tables) -> None:
    text = tomli_w.dumps({"channels_config": tables})
    (prx.program.home / "prx.toml").write_text(text, encoding="utf-8")


async def _connected(prx: PrxHome, server: Server, count: int) -> None:
    await asyncio.to_thread(server.secs_to_healthy)

    def is_done() -> bool:
        statuses = [channel["status"] for channel in prx.ask("channels")["channels"]]
        return statuses == ["connected"] * count

    await _until(server, is_done)


async def _until(server: Server, is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _CONNECT_SECS
    while not await asyncio.to_thread(is_done):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not connected; the log:\n{server.log[-2000:]}")
        await asyncio.sleep(_LOOK_SECS)


async def _millis(say: Say) -> float:
    began = time.perf_counter()
    await say()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    asyncio.run(main())
