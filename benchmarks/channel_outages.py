"""How soon channels notice that their server is gone, and how soon they are back once it is.

    python -m benchmarks.channel_outages [--rounds 3] [--window 20]

Each real chat server of the tests is killed, and frozen (SIGSTOP), for `window` seconds each time, while one channel is
connected. It counts as back as soon as it says anything to whoever connects, which is asked for all the time.
"""

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.options import server_options
from benchmarks.report import Report
from prx.channels.knocking import answers
from tests.support.certificates import made_certificate
from tests.support.channel_kit import NAME, Rehearsal, Setting, set_up
from tests.support.rehearsals.platforms import PLATFORMS
from tests.support.waiting import eventually

_MOST_KILLED_SECS = 1.0
_MOST_FROZEN_SECS = 15.0
_MOST_BACK_SECS = 2.0
_WITHIN_SECS = 90.0


async def main() -> None:
    """Measure and keep the report."""
    options = server_options(__doc__, rounds=3, window_secs=20.0)
    report = Report("channel_outages", "Channels whose server is gone", str(__doc__).partition("\n")[0])
    rows, worst = [], [0.0, 0.0, 0.0]
    with TemporaryDirectory() as scratch:
        directory = Path(scratch)
        certificate = made_certificate(directory)
        for kind, opened in PLATFORMS.items():
            async with opened(certificate, options.scratch, directory) as rehearsal:
                killed, frozen, back, limit = await _outages(
                    rehearsal, directory / kind, options.rounds, options.window
                )
            rows.append((kind, *map(_secs, (killed, limit, frozen, back))))
            worst = [max(pair) for pair in zip(worst, (killed, frozen, back), strict=True)]
    report.table(
        (
            "platform",
            "killed: noticed after",
            "twice its cadence",
            "frozen: noticed after",
            "connected again",
        ),
        rows,
    )
    report.say("Seconds, the longest of all rounds.\n")
    report.target("a closed connection is noticed", worst[0], _MOST_KILLED_SECS, " s")
    report.target("a half-open one is noticed", worst[1], _MOST_FROZEN_SECS, " s")
    report.target("connected again after the server is back", worst[2], _MOST_BACK_SECS, " s")
    report.keep()


async def _outages(
    rehearsal: Rehearsal, directory: Path, rounds: int, away_secs: float
) -> tuple[float, float, float, float]:
    """Return the longest times: killed and noticed, frozen and noticed, back and connected; and twice the cadence."""
    killed, frozen, back = [], [], []
    await asyncio.to_thread(directory.mkdir)
    async with set_up(rehearsal, directory) as setting:
        await setting.configure(rehearsal.table())
        await setting.becomes("connected")
        for _ in range(rounds):
            await rehearsal.stop()
            killed.append(await _until(setting, is_connected=False))
            await asyncio.sleep(away_secs)
            start = asyncio.create_task(rehearsal.start())
            back.append(await _back(setting))
            await start
            await rehearsal.freeze()
            frozen.append(await _until(setting, is_connected=False))
            await asyncio.sleep(away_secs)
            await rehearsal.thaw()
            back.append(await _back(setting))
        return max(killed), max(frozen), max(back), 2 * setting.can.cadence_secs


async def _back(setting: Setting) -> float:
    """Return how long it takes from when the server speaks until the channel is connected."""
    server = setting.adapter.server
    assert server is not None
    while not await answers(server):  # noqa: ASYNC110  # a server tells nobody that it is back
        await asyncio.sleep(0.01)
    return await _until(setting, is_connected=True)


async def _until(setting: Setting, *, is_connected: bool) -> float:
    began = time.monotonic()
    await eventually(
        lambda: (setting.channels.get(NAME).status == "connected") == is_connected, within_secs=_WITHIN_SECS
    )
    return time.monotonic() - began


def _secs(value: float) -> str:
    return f"{value:.2f}"


if __name__ == "__main__":
    asyncio.run(main())
