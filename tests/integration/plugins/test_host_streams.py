"""What a component that imports `wasi:http` gets in place of wasmtime's WASI, and what those that misuse it get."""

from pathlib import Path

import pytest
from wasmtime import wat2wasm

from tests.components.corpus import source
from tests.support.logs import logged
from tests.support.plugin_host import PluginHost
from tests.support.wat import binary, importing_http

_ROOM = Path(__file__).parents[2] / "components/wasi_http"
_MISUSES = {
    "handle-hoarder": "the guest holds 1024 handles of the host and wants more: it does not drop them",
    "handle-forger": "the guest trapped: unknown handle index",
    "wrong-handle": "the guest uses a handle as a fields that is none",
}
_VERSIONS = ["0.2.0", "0.2.3", "0.2.8", "0.2.10", "0.2.99"]
_HANDLER = """
(component
  (import "wasi:io/error@{version}" (instance $error (export "error" (type (sub resource)))))
  (import "wasi:io/poll@{version}" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@{version}" (instance $clock
    (alias outer 1 $pollable (type $outer))
    (export "pollable" (type $pollable (eq $outer)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:http/types@{version}" (instance $types
    (export "fields" (type $fields (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $ready (canon lower (func $poll "[method]pollable.ready")))
  (core module $guest
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "host" "ready" (func $ready (param i32) (result i32)))
    (func (export "run") (result i32) (call $ready (call $subscribe (i64.const 0)))))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "subscribe" (func $subscribe)) (export "ready" (func $ready))))))
  (func (export "run") (result bool) (canon lift (core func $guest "run"))))
"""


def component(name: str) -> bytes:
    """Return the component `name` of `tests/components/wasi_http`."""
    return bytes(wat2wasm((_ROOM / f"{name}.wat").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", _MISUSES)
async def test_a_guest_that_misuses_handles_ends_in_a_sentence_and_disturbs_nobody(
    name: str, host: PluginHost
) -> None:
    host.drop("echo")
    host.drop(name, component(name))
    async with host.running():
        await host.until("echo", "loaded")
        await host.until(name, "loaded")
        for _ in range(2):
            result = await host.call("run")
            assert result.error is not None
            assert (result.error.code, result.error.message[: len(_MISUSES[name])]) == (
                "trap",
                _MISUSES[name],
            )
            assert await host.output("echo", {"text": "still"}) == "still"


async def test_a_function_of_another_type_is_refused_at_load(host: PluginHost) -> None:
    host.drop("wrong", component("wrong-wasi-signature"))
    async with host.running():
        told = "imports wasi:http/types@0.2.0#[method]fields.has as func(self: borrow<_>, name: u64) -> bool, but this"
        await host.until("wrong", "error", error=told)


async def test_a_function_that_the_interface_does_not_have_is_refused_at_load(host: PluginHost) -> None:
    text = '(component (import "wasi:http/types@0.2.0" (instance (export "shout" (func)))))'
    host.drop("unknown", binary(text))
    async with host.running():
        told = "imports wasi:http/types@0.2.0#shout as func(), but this host offers nothing of that name"
        await host.until("unknown", "error", error=told)


async def test_a_component_that_serves_requests_is_no_plugin_and_is_told_why(host: PluginHost) -> None:
    text = """
    (component
      (import "wasi:http/types@0.2.0" (instance $types
        (export "incoming-request" (type (sub resource)))
        (export "response-outparam" (type (sub resource)))))
      (alias export $types "incoming-request" (type $request))
      (alias export $types "response-outparam" (type $out))
      (core module $guest (func (export "handle") (param i32 i32)))
      (core instance $guest (instantiate $guest))
      (func $handle (param "request" (own $request)) (param "response-out" (own $out))
        (canon lift (core func $guest "handle")))
      (instance $handler (export "handle" (func $handle)))
      (export "wasi:http/incoming-handler@0.2.0" (instance $handler)))
    """
    host.drop("server", binary(text))
    async with host.running():
        await host.until("server", "error", error="exports no function that can be called")
        told = host.plugin("server").error or ""
        assert "wasi:http/incoming-handler@0.2.0#handle: it takes or returns a resource" in told


@pytest.mark.parametrize("version", _VERSIONS)
async def test_every_version_of_the_series_is_served(version: str, host: PluginHost) -> None:
    host.drop("asker", binary(_HANDLER.format(version=version)))
    async with host.running():
        await host.until("asker", "loaded")
        assert await host.output("run") is True


async def test_a_plugin_that_was_granted_files_and_cannot_have_them_says_so(host: PluginHost) -> None:
    text = '[plugin]\nname = "reader"\nversion = "1.0.0"\n[permissions]\noptional = ["filesystem"]\n'
    host.drop("reader", binary(_HANDLER.format(version="0.2.0")), manifest=text)
    async with host.running():
        plugin = await host.until("reader", "loaded")
        assert plugin.detail()["warnings"] == []
        await host.catalogue.decide("reader", {"filesystem": True})
        [warning] = plugin.detail()["warnings"]
        assert warning.startswith("it imports wasi:http and so gets no directories")


@pytest.mark.parametrize("name", ["sleeper", "poll-sleeper"])
async def test_a_sleep_ends_with_its_call(name: str, host: PluginHost) -> None:
    host.limit(max_execution_time_ms=1000)
    host.drop("sleeper", binary(importing_http(source(name))))
    async with host.running():
        await host.until("sleeper", "loaded")
        assert await host.output("sleep", {"nanoseconds": 1_000_000}) == "awake"
        result = await host.call("run")
        assert result.error is not None
        assert result.error.code == "timeout"
        assert result.receipt is not None
        assert result.receipt.guest_ms < 500, "waiting in the host is not the guest's time"


async def test_a_flood_on_stdout_is_bounded_in_the_log(host: PluginHost, tmp_path: Path) -> None:
    host.limit(max_execution_time_ms=300)
    host.drop("flood", binary(importing_http(source("stdout-flood"))))
    with logged(tmp_path) as lines:
        async with host.running():
            await host.until("flood", "loaded")
            result = await host.call("run")
            assert result.error is not None
            assert result.error.code == "timeout"
    assert 200 <= len(lines.events("plugin::flood")) < 2000


async def test_a_guest_that_writes_more_than_a_stream_permits_ends_there(host: PluginHost) -> None:
    host.drop("feeder", component("overfeeder"))
    async with host.running():
        await host.until("feeder", "loaded")
        assert await host.output("run", {"size": 65536}) == 0
        result = await host.call("run", {"size": 65537})
        assert result.error is not None
        assert result.error.message == (
            "the guest writes 65537 bytes to a stream at once, where 65536 are permitted"
        )
