"""What a component is told to be by its exports, and which tools come of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from wasmtime import Engine
from wasmtime import component as wasm

from prx.core.tool import ToolFailure
from prx.plugins.abi.memory import Borrowed
from prx.plugins.abi.scalars import LowerError
from prx.plugins.engine import engine_config
from prx.plugins.errors import LoadError
from prx.plugins.inspect import Inspection, inspect
from prx.plugins.probe import with_probe
from prx.plugins.worlds.binding import BoundTool
from prx.plugins.worlds.plain import bind_plain
from prx.plugins.worlds.resolve import resolve
from prx.plugins.worlds.tool import bind_tool
from tests.components.corpus import component
from tests.support.wat import binary

# Functions f and g, to be exported as a test likes.
_EXPORTS = """
(component
  (core module $guest (func (export "run") (param i32) (result i32) local.get 0))
  (core instance $guest (instantiate $guest))
  (func $f (param "number" u32) (result u32) (canon lift (core func $guest "run")))
  (func $g (param "number" u32) (result u32) (canon lift (core func $guest "run")))
  (instance $i (export "convert" (func $f)))
  (instance $j (export "convert" (func $g)))
  {})
"""
LEFT_AND_RIGHT = '(export "a:b/left@1.0.0" (instance $i)) (export "a:b/right@1.0.0" (instance $j))'

Inspect = Callable[[bytes], Inspection]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(engine_config(fuel=False))


@pytest.fixture(scope="module")
def inspected(engine: Engine) -> Inspect:
    return lambda content: inspect(wasm.Component(engine, with_probe(content)), engine)


def bindings(inspection: Inspection, **descriptions: str) -> dict[str, BoundTool]:
    tools = bind_plain(resolve(inspection).plain, prefix="my_", source="plugin:x", descriptions=descriptions)
    return {tool.spec.name: tool for tool in tools}


@pytest.mark.parametrize(
    ("exports", "names"),
    [
        ('(export "to-text" (func $f))', ["to_text"]),
        ('(export "a:b/texts@1.0.0" (instance $i))', ["convert"]),
        (LEFT_AND_RIGHT, ["left_convert", "right_convert"]),
        ('(export "a:b/left" (instance $i)) (export "convert" (func $g))', ["left_convert", "convert"]),
        ('(export "a:b/left@1.0.0" (instance $i)) (export "a:b/left@2.0.0" (instance $j))',
         ["a_b_left_1_0_0_convert", "a_b_left_2_0_0_convert"]),
        ('(export "a:b/left@1.0.0" (instance $i)) (export "a:c/left@1.0.0" (instance $j))',
         ["a_b_left_1_0_0_convert", "a_c_left_1_0_0_convert"]),
        (LEFT_AND_RIGHT + '(export "left-convert" (func $f))',
         ["a_b_left_1_0_0_convert", "right_convert", "left_convert"]),
    ],
)  # fmt: skip
def test_tools_are_named_by_function_and_only_where_needed_by_interface(
    exports: str, names: list[str], inspected: Inspect
) -> None:
    found = bindings(inspected(binary(_EXPORTS.format(exports))))
    assert sorted(found) == sorted(f"my_{name}" for name in names)


def test_a_plain_tool_shows_its_signature_schema_and_source(inspected: Inspect) -> None:
    spec = bindings(inspected(component("fallible")))["my_divide"].spec
    assert spec.description == "divide: func(dividend: u32, divisor: u32) -> result<u32, string>"
    assert spec.source == "plugin:x"
    number = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
    assert spec.parameters == {
        "type": "object",
        "properties": {"dividend": number, "divisor": number},
        "required": ["dividend", "divisor"],
        "additionalProperties": False,
    }


def test_a_manifest_may_describe_a_tool(inspected: Inspect) -> None:
    found = bindings(inspected(component("fallible")), divide="Divides.")
    assert found["my_divide"].spec.description == "Divides."
    assert found["my_check"].spec.description.startswith("check: func(")


def test_functions_with_resources_are_skipped_with_a_reason(inspected: Inspect) -> None:
    inspection = inspected(component("with-resource"))
    assert list(bindings(inspection)) == ["my_price"]
    skipped = {str(function): function.skipped for function in inspection.exports if function.skipped}
    assert set(skipped.values()) == {"it takes or returns a resource, which has no JSON form"}
    assert len(skipped) >= 2


def test_the_probe_and_what_a_build_left_are_no_tools(inspected: Inspect) -> None:
    inspection = inspected(component("echo"))
    assert [function.name for function in inspection.exports] == ["echo", "prx-memory-bytes"]
    assert list(bindings(inspection)) == ["my_echo"]


def test_imports_are_listed_by_interface(inspected: Inspect) -> None:
    inspection = inspected(component("prx-tool"))
    assert inspection.imported_interfaces == ("prx:host/log@0.1.0", "prx:host/kv@0.1.0")
    assert [str(function) for function in inspection.imports] == [
        "prx:host/log@0.1.0#log",
        "prx:host/kv@0.1.0#get",
        "prx:host/kv@0.1.0#set",
    ]
    assert str(inspection.imports[1].type) == "func(key: string) -> option<list<u8>>"


@pytest.mark.parametrize("name", ["prx-tool", "prx-tool-unversioned"])
def test_a_prx_tool_is_told_by_its_exports(name: str, inspected: Inspect) -> None:
    resolved = resolve(inspected(component(name)))
    assert list(resolved.worlds) == ["tool"]
    functions = resolved.worlds["tool"]
    assert [binding.function.name for binding in functions.values()] == ["get-spec", "execute"]
    assert resolved.plain == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (component("nothing"), "exports no function that can be called: export functions of plain value types, or one"),
        (component("tool-wrong-version"), "exports prx:plugin/tool-exports@9.0.0, but this host runs"),
        (component("tool-wrong-shape"), "exports prx:plugin/tool-exports@0.1.0#get-spec as func() -> string, expected"),
        (binary(_EXPORTS.format('(export "prx:plugin/tool-exports@0.1.0" (instance $i))')),
         "exports prx:plugin/tool-exports@0.1.0 without the function get-spec: expected func() -> record"),
        (binary(_EXPORTS.format('(export "prx:plugin/oven-exports@0.1.0" (instance $i))')),
         "exports prx:plugin/oven-exports@0.1.0, but this host runs prx:plugin/tool-exports@0.1.0"),
        (binary(_EXPORTS.format('(export "prx:plugin/tool-exports@0.2.0" (instance $i))')),
         "exports prx:plugin/tool-exports@0.2.0, but this host runs prx:plugin/tool-exports@0.1.0"),
        (binary(_EXPORTS.format('(export "prx:plugin/channel-exports@0.1.0" (instance $i))')),
         "exports prx:plugin/channel-exports@0.1.0, but this host runs"),
        (binary(_EXPORTS.format('(export "prx:plugin/channel-exports@0.2.3" (instance $i))')),
         "exports prx:plugin/channel-exports@0.2.3 without the function name: expected func() -> string"),
    ],
)  # fmt: skip
def test_what_no_world_fits_is_refused_with_what_would(
    content: bytes, reason: str, inspected: Inspect
) -> None:
    with pytest.raises(LoadError) as caught:
        resolve(inspected(content))
    assert caught.value.message.startswith(reason)


def test_types_that_no_caller_could_use_are_refused(engine: Engine) -> None:
    """A kilobyte of component whose type has a quarter of a million parts."""
    types = "".join(f"(type $t{level} (tuple $t{level - 1} $t{level - 1}))" for level in range(1, 18))
    text = f"""
    (component
      (core module $guest (memory (export "memory") 1) (func (export "run") (result i32) i32.const 8))
      (core instance $guest (instantiate $guest))
      (type $t0 (tuple u8 u8)) {types}
      (func (export "run") (result $t17)
        (canon lift (core func $guest "run") (memory (core memory $guest "memory")))))
    """
    assert len(binary(text)) < 1024
    with pytest.raises(LoadError, match="more than 20000 parts: no caller could use them"):
        inspect(wasm.Component(engine, binary(text)), engine)


def test_wrong_arguments_are_named_by_their_path(inspected: Inspect) -> None:
    lower = bindings(inspected(component("every-type")))["my_of_people"].binding.lower
    people = [{"full_name": "a", "age": 1, "tags": []}, {"full_name": "b", "age": 1, "tags": ["x", 5]}]
    with pytest.raises(LowerError, match=r"^arguments\.x\[1\]\.tags\[1\]: expected a string, got 5$"):
        lower({"x": people}, Borrowed())
    with pytest.raises(LowerError, match=r"^arguments\.x: expected an array, got None$"):
        lower({}, Borrowed())


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ({"ok": 3}, (3, None)),
        ({"ok": None}, (None, None)),
        ({"err": "no"}, (None, ToolFailure("tool_error", "no"))),
        ({"err": {"code": 3, "why": "é"}}, (None, ToolFailure("tool_error", '{"code": 3, "why": "é"}'))),
        ({"err": None}, (None, ToolFailure("tool_error", "the function failed and gave no reason"))),
    ],
)
def test_a_result_is_success_or_a_tool_error(value: Any, outcome: object, inspected: Inspect) -> None:
    assert bindings(inspected(component("fallible")))["my_divide"].binding.outcome(value) == outcome


def test_a_value_that_looks_like_a_result_is_a_value(inspected: Inspect) -> None:
    value = [{"err": "e"}]
    assert bindings(inspected(component("every-type")))["my_of_result_inside"].binding.outcome(value) == (
        value,
        None,
    )


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"success": True, "output": "o", "error": None}, ("o", None)),
        ({"success": True, "output": "o", "error": "ignored"}, ("o", None)),
        ({"success": False, "output": "o", "error": "why"}, ("o", ToolFailure("tool_error", "why"))),
        ({"success": False, "output": "o", "error": None}, ("o", ToolFailure("tool_error", "o"))),
        (
            {"success": False, "output": "", "error": ""},
            ("", ToolFailure("tool_error", "the tool failed and gave no reason")),
        ),
    ],
)
def test_a_prx_tools_result_is_text_and_its_error(result: Any, outcome: object, inspected: Inspect) -> None:
    functions = resolve(inspected(component("prx-tool"))).worlds["tool"]
    spec = bindings(inspected(component("echo")))["my_echo"].spec
    binding = bind_tool(functions["execute"].function, spec).binding
    assert binding.outcome(result) == outcome
    memory = Borrowed()
    [words] = binding.lower({"text": "é", "n": [1, None]}, memory)
    assert words[1] == len(
        json.dumps({"text": "é", "n": [1, None]}, ensure_ascii=False, separators=(",", ":")).encode()
    )
