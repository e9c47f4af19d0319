"""Clients that call every hostile plugin of a daemon, one after the other, until their standard input ends.

    python -m benchmarks.attackers URL TOKEN CLIENTS

A process of their own: what they burn must not slow the clock of whoever probes the daemon. They print one line when
they begin, and at the end how the calls ended, as JSON: `{"<call>": {"<code>": <count>}}`.
"""

import asyncio
import json
import sys
from collections import Counter, defaultdict
from itertools import cycle
from typing import Any, NamedTuple

from aiohttp import ClientSession, ClientTimeout

_CLIENT_SECS = 120


class Tool(NamedTuple):
    """A tool that attacks, what to call it with, and the plugin that brings it."""

    name: str
    arguments: dict[str, Any]
    plugin: str


class Attack:
    """All clients, and what became of their calls."""

    def __init__(self, session: ClientSession) -> None:
        """Attack over `session`."""
        self._session = session
        self._tools: list[Tool] = []
        self._refused: list[str] = []
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)

    async def prepare(self) -> None:
        """Release what an earlier attack left quarantined, and look at what there is."""
        for plugin in await self._plugins("quarantined"):
            await self._post(f"plugins/{plugin}/reload")
        self._refused = await self._plugins("error")
        # The corpus names what attacks `run`, or `execute` behind a PRX tool, which its spec calls a specimen.
        self._tools = [
            Tool(tool["name"], dict.fromkeys(tool["parameters"].get("required", ()), "text"), plugin)
            for tool in (await self._get("tools"))["tools"]
            if tool["name"].endswith(("_run", "_specimen")) and (plugin := tool["source"].partition(":")[2])
        ]

    async def client(self, start: float) -> None:
        """Make the round of all tools for ever, beginning at `start`, a share of the round."""
        refused = cycle(self._refused)
        first = int(start * len(self._tools))
        while True:
            for tool in self._tools[first:] + self._tools[:first]:
                code = await self._post(f"tools/{tool.name}/call", {"arguments": tool.arguments})
                self.outcomes[tool.name][code] += 1
                if code == "conflict":
                    # Quarantined. The worst that an operator can do is to release it again and again.
                    await self._post(f"plugins/{tool.plugin}/reload")
            plugin = next(refused)
            self.outcomes[f"reload of {plugin}"][await self._post(f"plugins/{plugin}/reload")] += 1

    async def _plugins(self, status: str) -> list[str]:
        plugins = (await self._get("plugins"))["plugins"]
        return [plugin["name"] for plugin in plugins if plugin["status"] == status]

    async def _get(self, path: str) -> dict[str, Any]:
        async with self._session.get(path) as answer:
            answer.raise_for_status()
            body: dict[str, Any] = await answer.json()
            return body

    async def _post(self, path: str, body: dict[str, Any] | None = None) -> str:
        """Return the code of the answer's error, or `success`."""
        async with self._session.post(path, json=body) as answer:
            error = (await answer.json()).get("error")
            return "success" if error is None else str(error["code"])


async def main(url: str, token: str, clients: int) -> None:
    """Attack until standard input ends."""
    headers = {"Authorization": f"Bearer {token}"}
    async with ClientSession(url, headers=headers, timeout=ClientTimeout(_CLIENT_SECS)) as session:
        attack = Attack(session)
        await attack.prepare()
        tasks = [asyncio.create_task(attack.client(number / clients)) for number in range(clients)]
        print("attacking", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(attack.outcomes))
    failures = [error for error in ended if isinstance(error, Exception)]
    if failures:
        raise ExceptionGroup("clients ended by themselves", failures)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
