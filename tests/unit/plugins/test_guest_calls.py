"""Calls of a guest by the compiled path: values of every type, and everything that a guest can import."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.errors import BadRequestError
from prx.core.tool import ToolFailure
from prx.plugins.abi import wit
from prx.plugins.abi.wit import WitType
from prx.plugins.errors import LoadError
from prx.plugins.inspect import Function
from tests.components.corpus import component
from tests.support.examples import costly
from tests.support.guests import Guest, guest_of
from tests.support.processes import no_descriptors_left, resident_mebibytes
from tests.support.wat import binary
from tests.support.wit_types import json_values


@pytest.fixture(scope="module")
def every_type() -> Iterator[Guest]:
    with guest_of(component("every-type"), warm=True) as guest:
        yield guest


def type_of(function: Function) -> WitType:
    assert function.type is not None
    return function.type.params[0][1]


def given_back(wit_type: WitType, value: Any) -> tuple[Any, ToolFailure | None]:
    """What a function that gives back its argument must answer."""
    match wit_type:
        case wit.ResultType() if "err" in value:
            reason = value["err"]
            return None, ToolFailure("tool_error", reason or "" if reason is not None else NO_REASON)
        case wit.ResultType():
            return value["ok"], None
        case wit.FlagsType(names=names):
            return [name for name in (n.replace("-", "_") for n in names) if name in value], None
        case _:
            return value, None


NO_REASON = "the function failed and gave no reason"
_KINDS = [
    "bool", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "char", "string", "bytes", "strings",
    "numbers", "people", "pairs", "results", "options", "tuple", "person", "wide", "color", "rights", "days", "shape",
    "option", "option_of_string", "nested_option", "result", "result_inside", "result_without_value", "bare_result",
]  # fmt: skip


@pytest.mark.parametrize("kind", _KINDS)
@costly()
@given(data=st.data())
def test_a_guest_gives_back_what_it_was_given(kind: str, every_type: Guest, data: st.DataObject) -> None:
    wit_type = type_of(every_type.bindings[f"of_{kind}"].binding.function)
    value = data.draw(json_values(wit_type))
    result = every_type.call(f"of_{kind}", x=value)
    assert (result.output, result.error) == given_back(wit_type, value)


def test_the_schema_of_every_type_is_what_callers_know(every_type: Guest) -> None:
    known = json.loads(Path(__file__).with_name("every_type_schemas.json").read_text())
    schemas = {name: binding.spec.parameters for name, binding in every_type.bindings.items()}
    assert {name: schema["properties"]["x"] for name, schema in schemas.items()} == known


def test_every_function_of_every_type_is_tried(every_type: Guest) -> None:
    assert set(every_type.bindings) == {f"of_{kind}" for kind in _KINDS}


def test_arguments_that_do_not_fit_are_refused_before_the_guest_runs(every_type: Guest) -> None:
    before = every_type.generation.meter.totals().calls
    with pytest.raises(BadRequestError, match=r"arguments\.x: 256 is outside 0 to 255"):
        every_type.call("of_u8", x=256)
    assert every_type.generation.meter.totals().calls == before


@pytest.mark.parametrize(
    ("kind", "value", "calls"),
    [
        ("string", "x" * 500_000, 150),
        ("people", [{"full_name": "x" * 250_000, "age": 1, "tags": ["y" * 250_000]}], 150),
        ("option_of_string", "x" * 500_000, 150),
        ("bytes", "AAAA" * 30_000, 25),
    ],
)
def test_results_are_freed(kind: str, value: Any, calls: int) -> None:
    """What the calls hand over is more than the memory that they may add."""
    with guest_of(component("every-type"), warm=True) as guest:

        def run() -> None:
            for _ in range(calls):
                assert guest.call(f"of_{kind}", x=value).error is None

        run()
        gc.collect()
        before = resident_mebibytes()
        run()
        assert resident_mebibytes() - before < 40


# Waits on a clock of one version while it also imports another.
_TWO_CLOCKS = """
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64)))))
  (import "wasi:clocks/monotonic-clock@0.2.6" (instance $clock
    (alias outer 1 $pollable (type $outer-pollable))
    (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core module $guest
    (import "host" "block" (func $block (param i32)))
    (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
    (func (export "run") (param i64) (result i32)
      (call $block (call $subscribe (local.get 0)))
      i32.const 1))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "block" (func $block)) (export "subscribe" (func $subscribe))))))
  (func (export "sleep") (param "nanoseconds" u64) (result bool) (canon lift (core func $guest "run"))))
"""


def test_no_version_of_the_clock_lets_a_guest_oversleep() -> None:
    with guest_of(binary(_TWO_CLOCKS), max_execution_secs=0.3) as guest:
        assert guest.call("sleep", nanoseconds=1).output is True
        result = guest.call("sleep", nanoseconds=3600 * 10**9)
        assert result.error is not None
        assert result.error.code == "timeout"


_SOCKETS = """
(component
  (import "wasi:sockets/network@0.2.0" (instance $network
    (type $codes (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit"
      "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused" "connection-reset"
      "connection-aborted" "datagram-too-large" "name-unresolvable" "temporary-resolver-failure"
      "permanent-resolver-failure"))
    (export "error-code" (type $error-code (eq $codes)))
    (type $families (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type $family (eq $families)))))
  (alias export $network "error-code" (type $error-code))
  (alias export $network "ip-address-family" (type $family))
  (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type $socket (sub resource)))))
  (alias export $tcp "tcp-socket" (type $socket))
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create
    (alias outer 1 $error-code (type $outer-code))
    (alias outer 1 $family (type $outer-family))
    (alias outer 1 $socket (type $outer-socket))
    (export "error-code" (type $code (eq $outer-code)))
    (export "ip-address-family" (type $family (eq $outer-family)))
    (export "tcp-socket" (type $socket (eq $outer-socket)))
    (export "create-tcp-socket" (func
      (param "address-family" $family) (result (result (own $socket) (error $code)))))))
  (core module $memory (memory (export "memory") 1))
  (core instance $memory (instantiate $memory))
  (core func $create
    (canon lower (func $create "create-tcp-socket") (memory (core memory $memory "memory"))))
  (core module $guest
    (import "host" "create" (func $create (param i32 i32)))
    (import "memory" "memory" (memory 1))
    (func (export "run") (result i32)
      (local $made i32)
      (loop $again
        (call $create (i32.const 0) (i32.const 16))
        (if (i32.load8_u (i32.const 16)) (then (return (local.get $made))))
        (local.set $made (i32.add (local.get $made) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $made) (i32.const 100))))
      local.get $made))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "create" (func $create))))
    (with "memory" (instance $memory))))
  (func (export "sockets") (result u32) (canon lift (core func $guest "run"))))
"""


def test_a_guest_gets_no_socket() -> None:
    with guest_of(binary(_SOCKETS)) as guest:
        assert guest.call("sockets").output == 0


_TWO_MEMORIES = """
(component
  (core module $guest (memory (export "memory") 1) (func (export "run") (result i32) i32.const 1))
  (core instance $one (instantiate $guest))
  (core instance $two (instantiate $guest))
  (func (export "run") (result u32) (canon lift (core func $one "run"))))
"""


def test_a_composed_component_is_told_why_it_does_not_start() -> None:
    with guest_of(binary(_TWO_MEMORIES)) as guest:
        result = guest.call("run")
        assert result.error is not None
        assert "several linear memories and this host gives it one" in result.error.message


def test_a_wasi_function_that_does_not_exist_is_named() -> None:
    text = '(component (import "wasi:random/random@0.2.0" (instance $r (export "nope" (func)))) {})'
    body = """
      (core func $nope (canon lower (func $r "nope")))
      (core module $guest (import "h" "nope" (func)) (func (export "run") (result i32) i32.const 1))
      (core instance $guest (instantiate $guest (with "h" (instance (export "nope" (func $nope))))))
      (func (export "run") (result u32) (canon lift (core func $guest "run")))
    """
    with guest_of(binary(text.format(body))) as guest:
        result = guest.call("run")
        assert result.error is not None
        assert result.error.code == "host_error"
        assert "wasi:random/random@0.2.0" in result.error.message
        assert "function implementation is missing" in result.error.message


@pytest.mark.parametrize(
    "interface",
    [
        "wasi:http/incoming-handler@0.2.0",
        "wasi:cli/environment@0.3.0",
        "wasi:nn/tensor@0.2.0",
        "prx:host/log@0.2.0",
    ],
)
def test_interfaces_that_are_not_offered_are_named(interface: str) -> None:
    text = f'(component (import "{interface}" (instance $x (export "f" (func)))))'
    with (
        pytest.raises(LoadError, match=f"imports {interface}, which this host does not offer"),
        guest_of(binary(text)),
    ):
        pytest.fail("linked")


def test_a_host_without_descriptors_left_says_so_and_serves_once_it_has_some() -> None:
    with guest_of(component("stdout-flood")) as guest:
        assert guest.call("ping").output == "pong"
        with no_descriptors_left():
            error = guest.call("ping").error
        assert error is not None
        assert error.code == "host_error"
        assert error.message.startswith("the host cannot open pipes for the guest: [Errno 24]")
        assert guest.call("ping").output == "pong"
