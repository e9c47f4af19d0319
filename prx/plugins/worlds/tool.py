"""The PRX `tool` world: one tool that describes itself and takes its arguments as JSON text."""

import json
from collections.abc import Mapping
from typing import Any

from prx.core.tool import ToolFailure, ToolSpec
from prx.plugins.abi.ffi import Words
from prx.plugins.abi.lift import compile_lift
from prx.plugins.abi.lower import compile_lower
from prx.plugins.abi.measure import compile_measure
from prx.plugins.abi.memory import Memory
from prx.plugins.abi.wit import FuncType, OptionType, Prim, RecordType
from prx.plugins.inspect import Function
from prx.plugins.worlds.binding import Binding

INTERFACE = "prx:plugin/tool-exports"

_SPEC = RecordType((("name", Prim.STRING), ("description", Prim.STRING), ("parameters-schema", Prim.STRING)))
_RESULT = RecordType((("success", Prim.BOOL), ("output", Prim.STRING), ("error", OptionType(Prim.STRING))))

GET_SPEC = FuncType((), _SPEC)
EXECUTE = FuncType((("args", Prim.STRING),), _RESULT)
SIGNATURES = {"get-spec": GET_SPEC, "execute": EXECUTE}

lift_spec = compile_lift(_SPEC, "bytes")
measure_spec = compile_measure(_SPEC)
_lower_args = compile_lower(Prim.STRING, "bytes")
_lift_result = compile_lift(_RESULT, "bytes")
_measure_result = compile_measure(_RESULT)


def bind_tool(execute: Function, spec: ToolSpec) -> Binding:
    """Return the binding of the world's one tool."""
    return Binding(spec, execute, _lower, _measure_result, _lift_result, _outcome)


def _lower(arguments: Mapping[str, Any], memory: Memory) -> list[Words]:
    return [_lower_args(json.dumps(arguments, ensure_ascii=False, separators=(",", ":")), memory)]


def _outcome(value: dict[str, Any]) -> tuple[str, ToolFailure | None]:
    output: str = value["output"]
    if value["success"]:
        return output, None
    return output, ToolFailure("tool_error", value["error"] or output or "the tool failed and gave no reason")
