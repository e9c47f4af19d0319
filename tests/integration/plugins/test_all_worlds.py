"""One component that exports every PRX world: a tool, a hook, a middleware, a cron job, a provider and a storage."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from prx.core.errors import CallFailedError, ConflictError, ForbiddenError, NotFoundError
from prx.core.event import MAX_DEPTH, topics
from prx.core.provider import (
    ChatAnswer,
    ChatMessage,
    ChatProvider,
    ChatRequest,
    ProviderError,
    ToolRequest,
)
from prx.core.storage import StoredMemory
from prx.core.tool import CallContext, ToolSpec
from prx.runtime.tools import BEFORE_EXECUTE
from tests.support.plugin_host import PluginHost
from tests.support.python_guests import python_guest
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

NAME = "everything"
CALLER = CallContext(request_id="test")


def manifest(capabilities: str = "", config: str = "", version: str = "1.0.0") -> str:
    return (
        f'[plugin]\nname = "{NAME}"\nversion = "{version}"\n'
        f'[permissions]\nrequired = ["kv", "events"]\n{capabilities}\n[config]\n{config}\n'
    )


def hook(*events: str) -> str:
    return f'[[capabilities]]\ntype = "hook"\nevents = {json.dumps(events)}\n'


@pytest.fixture
async def running(host: PluginHost) -> AsyncIterator[PluginHost]:
    host.limit(max_execution_time_ms=60_000)
    async with host.running():
        yield host


async def installed(host: PluginHost, capabilities: str = "", config: str = "") -> None:
    host.drop(NAME, python_guest("everything"), manifest=manifest(capabilities, config))
    await eventually(lambda: NAME in host.names() and host.plugin(NAME).status != "loading", within_secs=120)
    await host.until(NAME, "loaded")


async def control(host: PluginHost, do: str, **wish: Any) -> Any:
    return json.loads(await host.output("control", {"do": do, **wish}))


async def heard(host: PluginHost, topic: str) -> list[Any]:
    return [payload for heard, payload in await control(host, "kept", key="heard") if heard == topic]


async def test_its_capabilities_show_every_world(running: PluginHost) -> None:
    await installed(
        running,
        hook("test.**", "other.*")
        + '[[capabilities]]\ntype = "middleware"\nname = "inbound"\npriority = 10\n'
        + '[[capabilities]]\ntype = "cron"\nname = "tidy"\nschedule = "0 3 * * *"\ntimezone = "Europe/Berlin"\n',
    )
    plugin = running.plugin(NAME)
    assert plugin.capabilities == [
        "tool:control",
        "middleware:inbound",
        "cron:tidy",
        "provider:parrot",
        "storage:notebook",
        "hook:other.*",
        "hook:test.**",
    ]
    detail = plugin.detail()
    assert detail["warnings"] == []
    [job] = detail["cron"]
    assert (job["name"], job["schedule"], job["timezone"]) == ("tidy", "0 3 * * *", "Europe/Berlin")


async def test_worlds_that_nothing_calls_are_warned_about(running: PluginHost) -> None:
    await installed(running)
    warnings = running.plugin(NAME).detail()["warnings"]
    assert len(warnings) == 2
    assert "it exports a hook and hears of nothing" in warnings[0]
    assert "it exports a cron job that is never due" in warnings[1]
    assert [step.name for step in running.points.middleware.steps("outbound")] == [f"plugin:{NAME}"]


async def test_a_hook_hears_of_what_its_manifest_names_and_of_nothing_else(running: PluginHost) -> None:
    await installed(running, hook("test.*"))
    for number in range(3):
        running.bus.publish("test.one", {"number": number})
        running.bus.publish("elsewhere.one", {"number": number})
    await eventually(lambda: running.plugin(NAME).detail()["events"]["delivered"] == 3)
    assert await heard(running, "test.one") == [{"number": number} for number in range(3)]
    assert await heard(running, "elsewhere.one") == []


async def test_a_hook_never_receives_what_it_published_itself(running: PluginHost) -> None:
    await installed(running, hook("test.*"))
    await control(running, "publish", topic="test.own", payload=1)
    running.bus.publish("test.other", 2)
    await eventually(lambda: running.plugin(NAME).detail()["events"]["delivered"] == 1)
    assert await heard(running, "test.own") == []
    assert await heard(running, "test.other") == [2]


async def test_it_subscribes_and_unsubscribes_while_it_runs(running: PluginHost) -> None:
    await installed(running)
    number = await control(running, "subscribe", pattern="test.late")
    assert await control(running, "subscribe", pattern="test.late") == number
    assert "hook:test.late" in running.plugin(NAME).capabilities
    running.bus.publish("test.late", 1)
    await eventually(lambda: running.plugin(NAME).detail()["events"]["delivered"] == 1)
    await control(running, "unsubscribe", number=number)
    running.bus.publish("test.late", 2)
    await control(running, "subscribe", pattern="test.end")
    running.bus.publish("test.end", 3)
    await eventually(lambda: running.plugin(NAME).detail()["events"]["delivered"] == 2)
    assert await heard(running, "test.late") == [1]
    refused = await running.call("control", {"do": "unsubscribe", "number": number})
    assert refused.error is not None
    assert refused.error.message == f'plugin "everything" has no subscription {number}'


async def test_events_that_wait_while_a_newer_version_comes_are_not_lost(running: PluginHost) -> None:
    await installed(running, hook("test.*"))
    for number in range(40):
        running.bus.publish("test.many", number)
    running.drop(NAME, python_guest("everything"), manifest=manifest(hook("test.*"), version="2.0.0"))
    await eventually(lambda: running.plugin(NAME).version == "2.0.0")
    await eventually(lambda: running.plugin(NAME).detail()["events"]["delivered"] == 40)
    assert await heard(running, "test.many") == list(range(40))


async def test_what_a_hook_publishes_is_one_step_deeper_up_to_the_greatest_depth(running: PluginHost) -> None:
    await installed(running, hook("test.*"))
    with running.bus.subscribed(topics("test.*.on")) as published:
        answers = published.__aiter__()
        running.bus.publish("test.chain-1", None, depth=MAX_DEPTH - 1)
        event = await anext(answers)
        assert (event.topic, event.depth, event.source) == ("test.chain-1.on", MAX_DEPTH, f"plugin:{NAME}")
        running.bus.publish("test.chain-2", None, depth=MAX_DEPTH)
        await eventually(lambda: running.plugin(NAME).detail()["events"]["failed"] == 1)
        assert published.queued == 0
    assert await heard(running, "test.chain-2") == [None]


async def test_a_taken_name_of_a_provider_leaves_all_of_a_plugin_unoffered(running: PluginHost) -> None:
    await installed(running)
    running.settle("second", tool_prefix="its_")
    running.drop("second", python_guest("everything"), manifest=manifest().replace(NAME, "second"))
    plugin = await running.until(
        "second", "error", 'provider "parrot" is already offered by plugin:everything'
    )
    assert plugin.capabilities == []
    assert [spec.name for spec in running.router.specs()] == ["control"]
    assert [step.name for step in running.points.middleware.steps("inbound")] == [f"plugin:{NAME}"]


async def test_a_provider_whose_name_was_taken_while_it_lacked_a_grant_waits_for_it(
    running: PluginHost,
) -> None:
    await installed(running)
    running.settle("second", tool_prefix="its_")
    running.drop("second", python_guest("everything"), manifest=manifest().replace(NAME, "second"))
    await running.until("second", "error", "is already offered by")
    await running.catalogue.decide(NAME, {"kv": False})
    await running.catalogue.reload("second")

    plugin = await running.catalogue.decide(NAME, {"kv": True})
    taken = 'provider "parrot" is already offered by plugin:second: remove one of the two'
    assert (plugin.status, plugin.error) == ("error", taken)
    with pytest.raises(ConflictError, match=taken):
        await running.call("control", {"do": "kept", "key": "heard"})

    await running.catalogue.remove("second", purge=False)
    await running.until(NAME, "loaded")
    await heard(running, "test.any")


async def test_a_hook_vetoes_calls_of_tools(running: PluginHost) -> None:
    await installed(running, hook(BEFORE_EXECUTE, "prx.tool.after_execute"), config='vetoed = "echo,adder"')
    running.drop("echo")
    await running.until("echo", "loaded")
    with pytest.raises(ForbiddenError) as vetoed:
        await running.call("echo", {"text": "x"})
    assert vetoed.value.message == (
        'the call of "echo" was vetoed by plugin "everything", which says: nobody calls echo'
    )
    [asked] = [asked for asked in await heard(running, BEFORE_EXECUTE) if asked["tool"] == "echo"]
    assert (asked["arguments"], asked["source"], asked["request_id"]) == (
        {"text": "x"},
        "plugin:echo",
        "test",
    )
    assert all(told["tool"] == "control" for told in await heard(running, "prx.tool.after_execute"))
    await running.catalogue.disable(NAME)
    assert await running.output("echo", {"text": "x"}) == "x"


async def test_middleware_changes_and_blocks_messages(running: PluginHost) -> None:
    await installed(running)
    pipeline = running.points.middleware
    assert await pipeline.run("inbound", {"text": "hé"}, CALLER) == ["inbound", {"text": "hé"}]
    with pytest.raises(ForbiddenError) as blocked:
        await pipeline.run("llm_response", {"text": "forbidden"}, CALLER)
    assert blocked.value.message == (
        'the message was blocked at the stage llm_response by plugin "everything", '
        "which says: there is a forbidden word in it"
    )
    with pytest.raises(ForbiddenError, match="which gave back what is not JSON"):
        await pipeline.run("outbound", "nonsense", CALLER)
    await running.catalogue.disable(NAME)
    assert await pipeline.run("inbound", "as it is", CALLER) == "as it is"


async def told(provider: ChatProvider, request: ChatRequest) -> list[str | ChatAnswer]:
    return [piece async for piece in provider.chat(request, CALLER)]


async def test_a_provider_is_there_under_its_own_name(running: PluginHost) -> None:
    await installed(running)
    provider = running.points.providers.get("parrot")
    request = ChatRequest([ChatMessage("user", "hi")], "large", temperature=0.5)
    text, answer = await told(provider, request)
    assert text == "large at 0.5: user: hi"
    call = ToolRequest("call-1", "control", '{"do": "kept"}')
    assert answer == ChatAnswer("large at 0.5: user: hi", [call], finish="tool_calls")
    with pytest.raises(ProviderError, match='provider "parrot": this model says nothing'):
        await told(provider, ChatRequest([], "mute"))
    await running.catalogue.disable(NAME)
    with pytest.raises(NotFoundError, match='provider "parrot" not found; there is none'):
        running.points.providers.get("parrot")


async def test_a_provider_is_told_of_tools_and_their_results_as_json(running: PluginHost) -> None:
    await installed(running)
    messages = [
        ChatMessage("user", "hi"),
        ChatMessage(
            "assistant", "let me see", [ToolRequest("1", "add", "{}"), ToolRequest("2", "div", "{}")]
        ),
        ChatMessage("tool", "42", tool_call_id="1"),
        ChatMessage("tool", "by zero", tool_call_id="2", failed=True),
    ]
    tools = [ToolSpec("add", "Adds", {"type": "object"}, "builtin")]
    text, _ = await told(
        running.points.providers.get("parrot"), ChatRequest(messages, "large", system="be kind", tools=tools)
    )
    assert text == (
        "large at 1.0: system: be kind / "
        'system: {"tools":[{"name":"add","description":"Adds","parameters":{"type":"object"}}]} / user: hi / '
        'assistant: {"content":"let me see","tool_calls":[{"id":"1","name":"add","arguments":"{}"},'
        '{"id":"2","name":"div","arguments":"{}"}]} / '
        'tool: {"tool_call_id":"1","content":"42"} / tool: {"tool_call_id":"2","content":"by zero","error":true}'
    )


async def test_a_storage_keeps_memories(running: PluginHost) -> None:
    await installed(running)
    storage = running.points.storages.get("notebook")
    assert await storage.healthy()
    await storage.store("k1", "tea at four", "habit")
    await storage.store("k2", "tea at five", "habit", session_id="s")
    assert await storage.count() == 2
    assert await storage.recall("tea", 10) == [
        StoredMemory("k1", "k1", "tea at four", "habit", "2026-01-01T00:00:00Z", 0.5)
    ]
    [of_session] = await storage.recall("tea", 10, "s")
    assert (of_session.key, of_session.score) == ("k2", None)
    assert (await storage.forget("k1"), await storage.forget("k1")) == (True, False)
    with pytest.raises(CallFailedError, match='storage "notebook": there is nothing to remember'):
        await storage.store("k3", "", "habit")


async def test_a_job_runs_when_it_is_due_and_shows_how(running: PluginHost) -> None:
    every_second = '[[capabilities]]\ntype = "cron"\nname = "tick"\nschedule = "* * * * * *"\n'
    await installed(running, every_second, config='fail_at_run = "2"')

    def last() -> dict[str, Any] | None:
        [job] = running.plugin(NAME).detail()["cron"]
        found: dict[str, Any] | None = job["last_run"]
        return found

    async with running.cron():
        await eventually(lambda: (last() or {}).get("outcome") == "run 1")
        await eventually(lambda: (last() or {}).get("outcome") == "this run was to fail")
        assert last()["success"] is False  # type: ignore[index]  # it is there, see above
        await eventually(lambda: (last() or {}).get("outcome") == "run 3")
    assert running.plugin(NAME).status == "loaded"


async def test_a_crash_in_a_hook_counts_and_a_quarantined_hook_vetoes(running: PluginHost) -> None:
    await installed(running, hook("test.*", BEFORE_EXECUTE))
    running.drop("echo")
    await running.until("echo", "loaded")
    for _ in range(5):
        running.bus.publish("test.crash", None)
    await running.until(NAME, "quarantined", "its last words on stderr")
    with pytest.raises(
        ForbiddenError, match='vetoed by plugin "everything", which could not be asked: plugin "every'
    ):
        await running.call("echo", {"text": "x"})
    with pytest.raises(ConflictError, match="is in quarantine until"):
        await running.points.storages.get("notebook").count()
