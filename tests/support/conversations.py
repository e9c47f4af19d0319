"""A daemon with one channel to a line platform, and a model of a script: for tests of what is said between them."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from prx.core.channel import Capabilities
from tests.support.agents import Model
from tests.support.channel_daemon import Daemon, living
from tests.support.line_channel import PLAIN, LinePlatform, connecting_to, line_platform
from tests.support.waiting import eventually

RICH = replace(
    PLAIN,
    max_length=200,
    unit="chars",
    multiline=True,
    markup="telegram",
    edits=True,
    typing_secs=60,
    max_file_bytes=100_000,
    max_download_bytes=1000,
)


@pytest.fixture
async def platform() -> AsyncIterator[LinePlatform]:
    async with line_platform() as platform:
        yield platform


@pytest.fixture
def model() -> Model:
    return Model()


def a_life(
    directory: Path, platform: LinePlatform, model: Model, can: Capabilities = PLAIN
) -> AbstractAsyncContextManager[Daemon]:
    return living(directory, "line", connecting_to(platform, can), model)


@pytest.fixture
async def daemon(tmp_path: Path, platform: LinePlatform, model: Model) -> AsyncIterator[Daemon]:
    async with a_life(tmp_path, platform, model) as daemon:
        yield daemon


@pytest.fixture
async def rich(tmp_path: Path, platform: LinePlatform, model: Model) -> AsyncIterator[Daemon]:
    async with a_life(tmp_path, platform, model, RICH) as daemon:
        yield daemon


async def said(platform: LinePlatform, count: int) -> list[str]:
    """Return what the bot said, once it is so much."""
    await eventually(lambda: len(platform.texts) >= count)
    return platform.texts


def asked(model: Model) -> list[str]:
    return [request.messages[-1].content for request in model.asked]
