"""What guests say and print ends in the daemon's log, and the last words of one that fails in its error."""

from pathlib import Path

import pytest

from tests.support.logs import logged
from tests.support.plugin_host import PluginHost
from tests.support.wat import binary, importing_http

# Prints a line on stdout, complains on stderr, without a line end, and traps.
_COMPLAINER = """
(component
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error (type $outer-error))
    (export "error" (type $error (eq $outer-error)))
    (export "output-stream" (type $output-stream (sub resource)))
    (type $stream-error-variant (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $stream-error-variant)))
    (export "[method]output-stream.blocking-write-and-flush" (func
      (param "self" (borrow $output-stream)) (param "contents" (list u8))
      (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $output-stream))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output-stream (type $outer))
    (export "output-stream" (type $output-stream (eq $outer)))
    (export "get-stdout" (func (result (own $output-stream))))))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr
    (alias outer 1 $output-stream (type $outer))
    (export "output-stream" (type $output-stream (eq $outer)))
    (export "get-stderr" (func (result (own $output-stream))))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $get-stdout (canon lower (func $stdout "get-stdout")))
  (core func $get-stderr (canon lower (func $stderr "get-stderr")))
  (core func $write
    (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
      (memory (core memory $memory "memory"))))
  (core module $guest
    (import "host" "get-stdout" (func $get-stdout (result i32)))
    (import "host" "get-stderr" (func $get-stderr (result i32)))
    (import "host" "write" (func $write (param i32 i32 i32 i32)))
    (import "memory" "memory" (memory 1))
    (data (i32.const 64) "working on it\\n")
    (data (i32.const 96) "Traceback:\\nno such city")
    (func (export "run") (result i32)
      (call $write (call $get-stdout) (i32.const 64) (i32.const 14) (i32.const 256))
      (call $write (call $get-stderr) (i32.const 96) (i32.const 23) (i32.const 256))
      unreachable))
  (core instance $guest (instantiate $guest
    (with "host" (instance
      (export "get-stdout" (func $get-stdout))
      (export "get-stderr" (func $get-stderr))
      (export "write" (func $write))))
    (with "memory" (instance $memory))))
  (func (export "run") (result u32) (canon lift (core func $guest "run"))))
"""


@pytest.mark.parametrize("text", [_COMPLAINER, importing_http(_COMPLAINER)], ids=["wasmtime", "host"])
async def test_prints_become_log_lines_and_the_last_words_part_of_the_error(
    text: str, host: PluginHost, tmp_path: Path
) -> None:
    host.drop("complainer", binary(text))
    with logged(tmp_path) as lines:
        async with host.running():
            await host.until("complainer", "loaded")
            result = await host.call("run")
    assert result.error is not None
    assert result.error.code == "trap"
    assert result.error.message == (
        "the guest trapped: wasm `unreachable` instruction executed; its last words on stderr: Traceback:\nno such city"
    )
    said = [(event["level"], event["message"]) for event in lines.events("plugin::complainer")]
    assert sorted(said) == [("info", "working on it"), ("warn", "Traceback:"), ("warn", "no such city")]


async def test_a_guest_logs_through_the_host_under_its_own_module(host: PluginHost, tmp_path: Path) -> None:
    manifest = '[plugin]\nname = "note-taker"\nversion = "1.0.0"\n[permissions]\nrequired = ["kv"]\n'
    host.drop("prx-tool", manifest=manifest)
    with logged(tmp_path) as lines:
        async with host.running():
            await host.until("note-taker", "loaded")
            await host.output("remember", {"text": "é"})
    [event] = lines.events("plugin::note_taker")
    assert (event["level"], event["message"], event["plugin"]) == ("info", '{"text":"é"}', "note-taker")


async def test_floods_are_bounded_in_the_log(host: PluginHost, tmp_path: Path) -> None:
    host.limit(max_execution_time_ms=300)
    for name in ("log-flood", "stdout-flood"):
        host.settle(name, tool_prefix=name.replace("-", "_") + "_")
        host.drop(name)
    with logged(tmp_path) as lines:
        async with host.running():
            for name in ("log-flood", "stdout-flood"):
                await host.until(name, "loaded")
                result = await host.call(name.replace("-", "_") + "_run")
                assert result.receipt is not None
    for module in ("plugin::log_flood", "plugin::stdout_flood"):
        # 200 at once, 100 a second from then on: far less than these guests write in a third of a second.
        assert 200 <= len(lines.events(module)) < 2000
