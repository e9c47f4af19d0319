"""Thousands of good and hostile calls through the catalogue, and what they leave behind.

    python -m tests.support.soak calls|reloads NUMBER MORE_KIB

A process of its own, as the daemon is one: that of the tests holds much that comes and goes.
"""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prx.core.errors import ConflictError, UnavailableError
from prx.plugins.generation import Generation
from prx.runtime.allocator import keep_little_freed_memory
from tests.components.corpus import component, names, outcome
from tests.support.footprint import Footprint, footprint
from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually

_GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "echo": ("echo", {"text": "é" * 100}),
    "adder": ("add", {"a": 1, "b": 2}),
    "every-type": ("of_person", {"x": {"full_name": "Åsa", "age": 7, "tags": ["a", "b"]}}),
    "fallible": ("check", {"number": 0}),
    "prx-tool": ("remember", {"text": "kept"}),
}
# Those that use up their whole time are called more seldom: the soak is to pass through many ends, not to wait.
_SLOW_EVERY = 40
_GENERATION = f"{Generation.__module__}.{Generation.__qualname__}"
_FEW = 16
_LOOKS = 5
_MANIFEST = '[plugin]\nname = "prx-tool"\nversion = "1.0.0"\n[permissions]\nrequired = ["kv"]\n'


def attackers() -> list[str]:
    """Return the hostile components that load and are then called."""
    return [
        name for name in names("hostile") if outcome(name) != "refused" and not name.endswith("-at-start")
    ]


def attack_of(name: str) -> str:
    """Return the attacking tool of a hostile component whose prefix is its own name."""
    return name.replace("-", "_") + ("_specimen" if name.startswith("tool-") else "_run")


@asynccontextmanager
async def under_attack(host: PluginHost) -> AsyncIterator[PluginHost]:
    """Run the host with good and hostile plugins, all loaded."""
    # One thread for each attacker, so that all there will ever be are there soon.
    host.limit(max_execution_time_ms=50, max_memory_mb=16, max_concurrency=1)
    for name in _GOOD:
        host.settle(name, limits={"max_execution_time_ms": 10_000, "max_concurrency": 2})
        host.drop(name, manifest=_MANIFEST if name == "prx-tool" else None)
    for name in attackers():
        host.settle(name, tool_prefix=name.replace("-", "_") + "_")
        host.drop(name)
    async with host.running():
        for name in (*_GOOD, *attackers()):
            await host.until(name, "loaded")
        yield host


class Soak:
    """Calls of several clients at once; what fails for another reason than it should is an error at once."""

    def __init__(self, host: PluginHost, *, clients: int = 8) -> None:
        self._host = host
        self._clients = clients
        self._schedule = self._mixed()
        self.ended: Counter[str] = Counter()
        """How the calls ended, by code; `ok` for those that did not fail."""

    async def calls(self, number: int) -> None:
        """Make so many calls."""
        todo = islice(self._schedule, number)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._clients):
                group.create_task(self._client(todo))

    async def least(self, number: int) -> Footprint:
        """Make so many calls, in five parts; return what was held after the one that left the least memory.

        What a large value took goes back when the next one comes: one look may be the wrong moment.
        """
        looks = []
        for part in range(_LOOKS):
            await self.calls(number // _LOOKS + (part < number % _LOOKS))
            looks.append(footprint())
        return min(looks, key=lambda look: look.pss_kib)

    async def _client(self, todo: Iterator[str]) -> None:
        for name in todo:
            tool, arguments = _GOOD.get(name) or (
                attack_of(name),
                {"text": "x"} if name == "bad-realloc" else {},
            )
            try:
                result = await self._host.call(tool, arguments)
            except ConflictError:  # in quarantine
                self._host.plugin(name).gate.release()
                self.ended["quarantined"] += 1
            except UnavailableError:
                self.ended["busy"] += 1
            else:
                code = "ok" if result.error is None else result.error.code
                assert code in _expected(name), f"{name} ended with {code}: {result.error}"
                self.ended[code] += 1

    def _mixed(self) -> Iterator[str]:
        quick = [name for name in attackers() if outcome(name) != "timeout"]
        slow = cycle(name for name in attackers() if outcome(name) == "timeout")
        for turn, name in enumerate(cycle([*_GOOD, *quick])):
            yield next(slow) if turn % _SLOW_EVERY == 0 else name


def _expected(name: str) -> tuple[str, ...]:
    # On a machine that is short of processors an attack may run into its time before its end.
    return ("ok", "tool_error", "timeout") if name in _GOOD else (outcome(name), "timeout")


async def check_soak(host: PluginHost, *, calls: int, more_kib: int) -> None:
    """Make so many mixed calls; after the first third nothing may grow any more, memory by no more than `more_kib`.

    Raises:
        AssertionError: names what grew.
    """
    async with under_attack(host):
        soak = Soak(host)
        await soak.calls(calls // 6)
        before = await soak.least(calls // 6)
        await soak.calls(calls - 3 * (calls // 6))
        after = await soak.least(calls // 6)
    assert sum(soak.ended.values()) == calls
    assert {
        "ok",
        "trap",
        "timeout",
        "out_of_memory",
        "stack_overflow",
        "output_too_large",
    } <= soak.ended.keys()
    # Threads come with the first calls of a plugin and last for 30 s without any; each keeps its last call.
    more = max(0, after.threads - before.threads)
    assert after.pss_kib - before.pss_kib < more_kib + 256 * more, (
        f"{before.pss_kib} KiB became {after.pss_kib}"
    )
    assert after.descriptors - before.descriptors <= _FEW
    assert after.mappings - before.mappings <= 2 * _FEW + 4 * more
    assert after.grown_objects(before, _FEW + 4 * more) == {}


async def check_reloads(host: PluginHost, *, rounds: int, more_kib: int) -> None:
    """Reload and upgrade a plugin while clients call it; no call fails, and after a third nothing grows.

    Raises:
        AssertionError: a call failed, or names what grew.
    """
    versions = [component("echo"), component("echo") + custom_section(b"version 2")]
    host.drop("echo", versions[0])
    async with host.running():
        await host.until("echo", "loaded")
        done = asyncio.Event()

        async def client() -> int:
            made = 0
            while not done.is_set():
                assert await host.output("echo", {"text": "same"}) == "same"
                made += 1
            return made

        clients = [asyncio.ensure_future(client()) for _ in range(4)]
        try:
            await _change(host, versions, rounds // 3)
            before = footprint()
            files = sum(1 for _ in host.data_dir.rglob("*"))
            await _change(host, versions, rounds - rounds // 3)
            await eventually(lambda: footprint().objects[_GENERATION] <= before.objects[_GENERATION] + 2)
            after = footprint()
        finally:
            done.set()
        assert min(await asyncio.gather(*clients)) > 0
        assert sum(1 for _ in host.data_dir.rglob("*")) == files
    assert after.pss_kib - before.pss_kib < more_kib, f"{before.pss_kib} KiB became {after.pss_kib}"
    assert after.descriptors - before.descriptors <= _FEW
    assert abs(after.threads - before.threads) <= _FEW
    assert after.mappings - before.mappings <= 4 * _FEW
    assert after.grown_objects(before, 4 * _FEW) == {}


async def _change(host: PluginHost, versions: list[bytes], rounds: int) -> None:
    for turn in range(rounds):
        before = host.plugin("echo").loaded
        if turn % 2:
            await host.catalogue.reload("echo")
        else:
            host.drop("echo", versions[(turn // 2 + 1) % 2])
        await eventually(lambda before=before: host.plugin("echo").loaded is not before)


def custom_section(content: bytes) -> bytes:
    """Return a section that no engine reads: what is otherwise the same component becomes another one."""
    body = bytes((1,)) + b"v" + content
    return bytes((0, len(body))) + body


def run_soak(kind: str, number: int, *, more_kib: int) -> None:
    """Run a soak in a process of its own.

    Raises:
        AssertionError: with what it says.
    """
    command = [sys.executable, "-m", "tests.support.soak", kind, str(number), str(more_kib)]
    done = subprocess.run(command, capture_output=True, check=False, text=True, errors="replace")
    assert done.returncode == 0, done.stderr[-4000:]


def main(kind: str, number: str, more_kib: str) -> None:
    """Soak a host of this process."""
    keep_little_freed_memory()
    with TemporaryDirectory() as scratch:
        directory = Path(scratch) / "plugins"
        directory.mkdir()
        host = PluginHost(directory, Path(scratch) / "data", store=Path(scratch) / "store.db")
        if kind == "calls":
            asyncio.run(check_soak(host, calls=int(number), more_kib=int(more_kib)))
        else:
            asyncio.run(check_reloads(host, rounds=int(number), more_kib=int(more_kib)))


if __name__ == "__main__":
    main(*sys.argv[1:])
