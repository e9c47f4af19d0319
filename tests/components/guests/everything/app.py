"""A guest that exports every PRX world and keeps what it is told in kv, for tests to look at through its tool."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.provider_exports import ChatResponse, ToolCall
from wit_world.exports.storage_exports import MemoryEntry
from wit_world.exports.tool_exports import PluginResult, ToolSpec
from wit_world.imports import config, events, kv

# componentize-py names the records of each interface after it.
VETOED = "prx.tool.before_execute"


def kept(key):
    return json.loads(kv.get(key) or b"[]")


def keep(key, value):
    kv.set(key, json.dumps(value).encode())


class ToolExports(exports.ToolExports):
    def get_spec(self):
        return ToolSpec("control", "Do what a test asks for", '{"type": "object"}')

    def execute(self, args):
        wish = json.loads(args)
        try:
            output = getattr(self, "do_" + wish.pop("do"))(**wish)
        except Err as refused:
            return PluginResult(False, "", str(refused.value))
        return PluginResult(True, json.dumps(output), None)

    def do_kept(self, key):
        return kept(key)

    def do_publish(self, topic, payload):
        return events.publish(topic, json.dumps(payload))

    def do_subscribe(self, pattern):
        return events.subscribe(pattern)

    def do_unsubscribe(self, number):
        return events.unsubscribe(number)


class HookExports(exports.HookExports):
    def on_event(self, event, payload_json):
        payload = json.loads(payload_json)
        keep("heard", [*kept("heard"), [event, payload]])
        if event == VETOED and payload["tool"] in (config.get("vetoed") or "").split(","):
            raise Err(f"nobody calls {payload['tool']}")
        if event == "test.crash":
            raise RuntimeError("as asked for")
        if event.startswith("test.chain"):
            events.publish(event + ".on", payload_json)


class MiddlewareExports(exports.MiddlewareExports):
    def process(self, stage, data_json):
        data = json.loads(data_json)
        if "forbidden" in json.dumps(data):
            raise Err("there is a forbidden word in it")
        if data == "nonsense":
            return "not JSON"
        return json.dumps([stage, data])


class CronExports(exports.CronExports):
    def run(self):
        runs = len(kept("runs")) + 1
        keep("runs", [*kept("runs"), runs])
        if runs == int(config.get("fail_at_run") or 0):
            raise Err("this run was to fail")
        return f"run {runs}"


class ProviderExports(exports.ProviderExports):
    def name(self):
        return "parrot"

    def chat(self, messages, model, temperature):
        if model == "mute":
            raise Err("this model says nothing")
        text = f"{model} at {temperature}: " + " / ".join(f"{m.role}: {m.content}" for m in messages)
        return ChatResponse(text, [ToolCall("call-1", "control", '{"do": "kept"}')])


class StorageExports(exports.StorageExports):
    def name(self):
        return "notebook"

    def store_memory(self, key, content, category, session_id):
        if not content:
            raise Err("there is nothing to remember")
        rest = [entry for entry in kept("memories") if entry[0] != key]
        keep("memories", [*rest, [key, content, category, session_id]])

    def recall_memory(self, query, limit, session_id):
        found = [
            MemoryEntry(key, key, content, category, "2026-01-01T00:00:00Z", 0.5 if session is None else None)
            for key, content, category, session in kept("memories")
            if query in content and session == session_id
        ]
        return found[:limit]

    def forget_memory(self, key):
        memories = kept("memories")
        keep("memories", [entry for entry in memories if entry[0] != key])
        return any(entry[0] == key for entry in memories)

    def count_memories(self):
        return len(kept("memories"))

    def health_check(self):
        return config.get("ill") is None
