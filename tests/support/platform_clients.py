"""Unmodified clients of chat platforms, written by others, as processes in an environment of their own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.environments import environment
from tests.support.waiting import PATIENCE_SECS

_SOURCES = Path(__file__).parents[1] / "components/platform_clients"


class PlatformClient:
    """A client that runs, and what it told so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.told: list[dict[str, Any]] = []
        self._process = process

    async def tells(self, what: str) -> dict[str, Any]:
        """Wait for the next thing of this name that it tells, and return it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECS):
            while line := await self._process.stdout.readline():
                self.told.append(json.loads(line))
                if self.told[-1]["what"] == what:
                    return self.told[-1]
        raise AssertionError(f"it ended without telling {what}: {self.told}")


def clients(cache: Path) -> Path:
    """Return the interpreter of their environment; see `environment`."""
    return environment(cache, _SOURCES / "requirements.lock")


@asynccontextmanager
async def platform_client(python: Path, name: str, *arguments: str) -> AsyncIterator[PlatformClient]:
    """Run a client for the length of the block; it ends when its stdin does."""
    process = await asyncio.create_subprocess_exec(
        str(python),
        str(_SOURCES / f"{name}_client.py"),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    client = PlatformClient(process)
    try:
        yield client
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_SECS):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
