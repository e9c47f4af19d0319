"""Versions swapped while callers are at work: whoever calls, and whenever, is answered."""

import asyncio

from prx.plugins.offer import PluginTool
from tests.components.corpus import component
from tests.support.plugin_host import CALLER, PluginHost
from tests.support.processes import threads_named
from tests.support.waiting import eventually

CLIENTS = 16
RELOADS = 40
EVERY_SECS = 0.05


def version(letter: str) -> bytes:
    """Return the echo component under a digest of its own: an empty custom section more."""
    return component("echo") + b"\0\x02\x01" + letter.encode()


async def test_a_reload_every_50_ms_under_16_clients_fails_no_call(host: PluginHost) -> None:
    host.configure(watch=False)
    for letter in "ab":  # compiled once, so that the reloads below take their code from the cache
        host.drop(f"echo-{letter}", version(letter))
        host.settle(f"echo-{letter}", tool_prefix=f"{letter}_")
    host.drop("echo", version("a"))
    async with host.running():
        for name in ("echo", "echo-a", "echo-b"):
            await host.until(name, "loaded")
        over = False

        async def client(name: str) -> int:
            answered = 0
            while not over:
                text = f"{name}-{answered}"
                assert await host.output("echo", {"text": text}) == text
                answered += 1
            return answered

        clients = [asyncio.ensure_future(client(f"client-{number}")) for number in range(CLIENTS)]
        for number in range(RELOADS):
            failed, _ = await asyncio.wait(clients, timeout=EVERY_SECS, return_when=asyncio.FIRST_COMPLETED)
            assert not failed, [call.exception() for call in failed]
            before = host.plugin("echo").loaded
            host.drop("echo", version("ba"[number % 2]))
            await host.catalogue.reload("echo")
            assert host.plugin("echo").loaded is not before
        over = True
        assert min(await asyncio.gather(*clients)) > 0
        most = host.config.limits.max_concurrency
        await eventually(lambda: threads_named("prx-echo").count("prx-echo") <= most)


async def test_a_call_that_was_given_to_a_version_before_the_swap_is_served_after_it_ended(
    host: PluginHost,
) -> None:
    host.drop("echo")
    async with host.running():
        plugin = await host.until("echo", "loaded")
        assert plugin.loaded is not None
        [bound] = plugin.loaded.bound.tools
        old = PluginTool(bound, plugin.loaded.generation)
        assert (await old.call({"text": "before"}, CALLER)).output == "before"
        await host.catalogue.reload("echo")
        await eventually(lambda: len(threads_named("prx-echo")) == 1)  # the new version's
        assert (await old.call({"text": "late"}, CALLER)).output == "late"
        await eventually(lambda: len(threads_named("prx-echo")) == 1)  # the new version's
