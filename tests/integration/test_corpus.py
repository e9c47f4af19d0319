"""The corpus is what its headers say, under stock wasmtime: each attack attacks, each specimen works."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from wasmtime import Config, Engine, Store, WasiConfig, WasmtimeError
from wasmtime.component import Component, Instance, Linker, Record, Variant

from tests.components.corpus import component, names, outcome, source

# How each outcome shows in stock wasmtime, with fuel in place of the clock.
_MESSAGES = {
    "timeout": r"all fuel consumed",
    "stack_overflow": r"call stack exhausted",
    "out_of_memory": r"unreachable|exceeds (memory|table) limits|memory count too high|resource limit exceeded",
    "trap": r"unreachable|Exited with|invalid utf-8|out of bounds of memory|beyond end of memory",
    "output_too_large": r"too much data is being copied",
}
_GIANTS = {"giant-output": 4 << 20, "giant-list": 1 << 19}
_SLEEPERS = ["poll-sleeper", "sleeper"]
_FAILING = [
    name for name in names("hostile") if outcome(name) in _MESSAGES and name not in {*_GIANTS, *_SLEEPERS}
]
_PINGABLE = [name for name in names("hostile") if '(export "ping") (result string)' in source(name)]
_TOOL_EXPORTS = "prx:plugin/tool-exports@0.1.0"

Call = Callable[..., Any]
Load = Callable[..., Call]


@pytest.fixture(scope="module")
def engine() -> Engine:
    config = Config()
    config.consume_fuel = True
    return Engine(config)


@pytest.fixture
def load(engine: Engine) -> Iterator[Load]:
    """Instantiate one component and return how to call it."""
    with Store(engine) as store:
        store.set_wasi(WasiConfig())
        store.set_limits(memory_size=64 << 20, table_elements=1_000_000, instances=64, memories=1)
        yield partial(_load, store, engine)


def _load(store: Store, engine: Engine, name: str, kv: dict[str, bytes] | None = None) -> Call:
    """Instantiate with WASI and with what the corpus uses of prx:host, under both names of each interface."""
    # Enough to fill 64 MiB; less for the floods, whose host calls cost time rather than fuel.
    store.set_fuel(100_000 if name.endswith("-flood") else 100_000_000)
    values = {} if kv is None else kv
    linker = Linker(engine)
    linker.add_wasip2()
    for version in ("", "@0.1.0"):
        with linker.root() as root:
            with root.add_instance(f"prx:host/log{version}") as log:
                log.add_func("log", lambda _store, _level, _message: None)
            with root.add_instance(f"prx:host/config{version}") as config:
                config.add_func("get", lambda _store, _key: None)
            with root.add_instance(f"prx:host/kv{version}") as keys:
                keys.add_func("get", lambda _store, key: values.get(key))
                keys.add_func("set", lambda _store, key, value: values.update({key: bytes(value)}))
    return partial(_call, store, linker.instantiate(store, Component(engine, component(name))))


def _call(store: Store, instance: Instance, function: str, *args: Any, interface: str | None = None) -> Any:
    within = instance.get_export_index(store, interface) if interface else None
    index = instance.get_export_index(store, function, within)
    assert index is not None, f"{function} is not exported"
    func = instance.get_func(store, index)
    assert func is not None, f"{function} is not a function"
    result = func(store, *args)
    func.post_return(store)
    return result


def _attack(load: Load, name: str) -> None:
    call = load(name)
    if name.startswith("tool-"):
        call("execute", "{}", interface=_TOOL_EXPORTS)
    else:
        call("run", *(["a text"] if name == "bad-realloc" else []))


def _record(**fields: Any) -> Any:
    return SimpleNamespace(**{name.replace("_", "-"): value for name, value in fields.items()})


def _plain(value: Any) -> Any:
    """Take records apart, which compare by identity."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return vars(value) if isinstance(value, (Record, SimpleNamespace)) else value


_WIDE = _record(**dict.fromkeys("abcdefghijklmnop", 2**63), last_one="z")
# As wasmtime-py takes them: a case stands for itself where its Python type tells it apart.
_VALUES = [
    ("bool", True), ("u8", 255), ("s8", -128), ("u16", 65535), ("s16", -32768), ("u32", 2**32 - 1),
    ("s32", -(2**31)), ("u64", 2**64 - 1), ("s64", -(2**63)), ("f32", 1.5), ("f64", 1e300), ("char", "😀"),
    ("string", ""), ("string", "héllo😀"), ("bytes", b"\0\xff"), ("strings", ["a", "", "ccc"]),
    ("numbers", [0, 2**32 - 1]), ("people", [_record(full_name="Åsa", age=7, tags=["a"])]),
    ("pairs", [("a", -1)]), ("results", [1, "no"]), ("options", [None, 1.0]), ("tuple", (1, "x")),
    ("person", _record(full_name="Åsa", age=200, tags=["a", "b"])), ("wide", _WIDE), ("color", "dark-blue"),
    ("rights", {"can-read", "can-execute"}), ("days", {"d1", "d9", "d18"}), ("shape", 2.5), ("shape", 7),
    ("shape", None), ("shape", "blob"), ("option", None), ("option", 5), ("option-of-string", "s"),
    ("nested-option", Variant("none")), ("nested-option", Variant("some")),
    ("nested-option", Variant("some", 3)), ("result", 1), ("result", "e"), ("result-inside", ("e",)),
    ("result-without-value", None), ("result-without-value", "e"), ("bare-result", Variant("ok")),
    ("bare-result", Variant("err")),
]  # fmt: skip  # one line per value would hide which types are missing


@pytest.mark.parametrize("name", names("hostile") + names("specimens"))
def test_every_file_says_in_its_header_how_it_ends(name: str) -> None:
    assert outcome(name) in {*_MESSAGES, "refused", "runs"}


@pytest.mark.parametrize("name", names("specimens"))
def test_specimens_can_be_instantiated(name: str, load: Load) -> None:
    load(name)


@pytest.mark.parametrize("name", _FAILING)
def test_attacks_end_in_the_failure_they_are_made_for(name: str, load: Load) -> None:
    with pytest.raises(WasmtimeError, match=_MESSAGES[outcome(name)]):
        _attack(load, name)


@pytest.mark.parametrize("name", _PINGABLE)
def test_attackers_answer_a_ping_before_they_attack(name: str, load: Load) -> None:
    assert load(name)("ping") == "pong"


@pytest.mark.parametrize("name", _GIANTS)
def test_giants_return_more_than_a_host_should_take(name: str, load: Load) -> None:
    assert len(load(name)("run")) == _GIANTS[name]


@pytest.mark.parametrize("name", _SLEEPERS)
def test_sleepers_wake_up_when_the_time_is_short(name: str, load: Load) -> None:
    assert load(name)("sleep", 1) == "awake"


def test_a_core_module_is_not_a_component(engine: Engine) -> None:
    with pytest.raises(WasmtimeError, match="attempted to parse a wasm module with a component parser"):
        Component(engine, component("core-module"))


@pytest.mark.parametrize("name", ["unknown-import", "wrong-host-version"])
def test_an_import_that_nobody_offers_cannot_be_linked(name: str, load: Load) -> None:
    with pytest.raises(WasmtimeError, match="matching implementation was not found"):
        load(name)


@pytest.mark.parametrize(
    ("name", "exports"), [("prx-tool", _TOOL_EXPORTS), ("prx-tool-unversioned", "prx:plugin/tool-exports")]
)
def test_the_prx_tool_remembers_in_kv(name: str, exports: str, load: Load) -> None:
    kv: dict[str, bytes] = {}
    call = load(name, kv)
    spec = call("get-spec", interface=exports)
    first = call("execute", '{"text":"é"}', interface=exports)
    second = call("execute", "{}", interface=exports)
    assert spec.name == "remember"
    assert (first.success, first.output, first.error) == (True, "", None)
    assert (second.success, second.output, second.error) == (True, '{"text":"é"}', None)
    assert kv == {"last": b"{}"}


@pytest.mark.parametrize(("kind", "value"), _VALUES, ids=[f"{k}-{i}" for i, (k, _) in enumerate(_VALUES)])
def test_every_type_gives_back_what_it_was_given(kind: str, value: Any, load: Load) -> None:
    call = load("every-type")
    given_back = call(f"of-{kind}", value, interface="specimens:types/identity@1.0.0")
    assert _plain(given_back) == _plain(value)


def test_every_function_of_every_type_is_tried() -> None:
    exported = set(re.findall(r'\(export "of-([a-z0-9-]+)"', source("every-type")))
    assert exported == {kind for kind, _ in _VALUES}


def test_echo_takes_texts_larger_than_its_first_page(load: Load) -> None:
    call = load("echo")
    for text in ("", "é" * 100_000, "short again"):
        assert call("echo", text) == text


def test_the_counter_counts_calls_of_one_instance(load: Load) -> None:
    call = load("counter")
    assert [call("next") for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "function", "arguments", "result"),
    [
        ("adder", "add", (2**32 - 1, 2), 1),
        ("fallible", "check", (1,), Variant("ok", "fine")),
        ("fallible", "check", (0,), Variant("err", "zero is not allowed")),
        ("fallible", "divide", (7, 2), 3),
        ("fallible", "divide", (7, 0), "zero is not allowed"),
        ("fallible", "verify", (1,), Variant("ok")),
        ("fallible", "verify", (0,), Variant("err")),
        ("two-interfaces", "twice", (4,), 8),
    ],
)
def test_specimens_compute_what_their_headers_say(
    name: str, function: str, arguments: tuple[int, ...], result: Any, load: Load
) -> None:
    assert load(name)(function, *arguments) == result


@pytest.mark.parametrize(("interface", "result"), [("doubling", 10), ("tripling", 15)])
def test_two_interfaces_keep_functions_of_one_name_apart(interface: str, result: int, load: Load) -> None:
    call = load("two-interfaces")
    assert call("convert", 5, interface=f"specimens:two/{interface}@1.0.0") == result


def test_a_function_beside_a_resource_can_be_called(load: Load) -> None:
    call = load("with-resource")
    assert call("price", 3, interface="specimens:resources/box-office@1.0.0") == 21


def test_a_type_of_the_world_itself_needs_nobody_to_offer_it(load: Load) -> None:
    call = load("world-types")
    assert vars(call("move-right", _record(x=-1, y=4), 3)) == {"x": 2, "y": 4}
