"""The PRX `tool` world: one tool that describes itself and takes its arguments as JSON text."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prx.core.tool import ToolFailure, ToolSpec
from prx.plugins.abi.ffi import Words
from prx.plugins.abi.lower import compile_lower
from prx.plugins.abi.memory import Memory
from prx.plugins.abi.wit import OptionType, Prim, RecordType
from prx.plugins.inspect import Function
from prx.plugins.worlds.binding import BoundTool, Signature, to_json

INTERFACE = "prx:plugin/tool-exports"

_SPEC = RecordType((("name", Prim.STRING), ("description", Prim.STRING), ("parameters-schema", Prim.STRING)))
_RESULT = RecordType((("success", Prim.BOOL), ("output", Prim.STRING), ("error", OptionType(Prim.STRING))))

GET_SPEC = Signature(result=_SPEC)
EXECUTE = Signature([("args", Prim.STRING)], _RESULT)
SIGNATURES = {"get-spec": GET_SPEC, "execute": EXECUTE}

_lower_args = compile_lower(Prim.STRING, "bytes")


def bind_tool(execute: Function, spec: ToolSpec) -> BoundTool:
    """Return the world's one tool; its arguments are an object."""
    return BoundTool(spec, replace(EXECUTE.bind(execute), lower=_lower, outcome=_outcome))


def _lower(arguments: Mapping[str, Any], memory: Memory) -> list[Words]:
    return [_lower_args(to_json(arguments), memory)]


def _outcome(value: dict[str, Any]) -> tuple[str, ToolFailure | None]:
    output: str = value["output"]
    if value["success"]:
        return output, None
    return output, ToolFailure("tool_error", value["error"] or output or "the tool failed and gave no reason")
