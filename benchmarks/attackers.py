"""Clients that call every hostile plugin of a daemon, one after the other, until their standard input ends.

    python -m benchmarks.attackers URL TOKEN CLIENTS

A process of their own: what they burn must not slow the clock of whoever probes the daemon. They print one line when
they begin, and at the end how the calls ended, as JSON: `{"<tool>": {"<code>": <count>}}`.
"""

import asyncio
import json
import sys
from collections import Counter, defaultdict
from itertools import cycle
from typing import Any

from aiohttp import ClientSession, ClientTimeout

Outcomes = defaultdict[str, Counter[str]]


async def main(url: str, token: str, clients: int) -> None:
    """Attack until standard input ends."""
    outcomes: Outcomes = defaultdict(Counter)
    headers = {"Authorization": f"Bearer {token}"}
    async with ClientSession(url, headers=headers, timeout=ClientTimeout(120)) as session:
        tools = await _attacking_tools(session)
        broken = [p["name"] for p in (await _get(session, "plugins"))["plugins"] if p["status"] == "error"]
        attacks = [
            asyncio.create_task(_attack(session, tools, broken, number, outcomes))
            for number in range(clients)
        ]
        print("attacking", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        for attack in attacks:
            attack.cancel()
        await asyncio.gather(*attacks, return_exceptions=True)
    print(json.dumps(outcomes))


async def _attacking_tools(session: ClientSession) -> list[tuple[str, dict[str, Any]]]:
    """Return the tools that attack, with arguments; the corpus names them `run`, or `execute` behind a PRX tool."""
    tools = (await _get(session, "tools"))["tools"]
    return [
        (tool["name"], dict.fromkeys(tool["parameters"].get("required", ()), "text"))
        for tool in tools
        if tool["name"].endswith(("_run", "_specimen"))
    ]


async def _attack(
    session: ClientSession,
    tools: list[tuple[str, dict[str, Any]]],
    broken: list[str],
    start: float,
    outcomes: Outcomes,
) -> None:
    """Make the round of all tools for ever, beginning at `start`, a share of the round."""
    reloads = cycle(broken)
    while True:
        first = int(start * len(tools))
        for name, arguments in tools[first:] + tools[:first]:
            async with session.post(f"tools/{name}/call", json={"arguments": arguments}) as answer:
                outcomes[name][_code(await answer.json())] += 1
        plugin = next(reloads)
        async with session.post(f"plugins/{plugin}/reload") as answer:
            outcomes[f"reload of {plugin}"][_code(await answer.json())] += 1


def _code(answer: dict[str, Any]) -> str:
    error = answer.get("error")
    return "success" if error is None else str(error["code"])


async def _get(session: ClientSession, path: str) -> dict[str, Any]:
    async with session.get(path) as answer:
        answer.raise_for_status()
        body: dict[str, Any] = await answer.json()
        return body


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
