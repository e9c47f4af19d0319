"""Plain components: every exported function is a tool, typed by its WIT signature."""

import json
from collections.abc import Mapping
from typing import Any

from prx.core.tool import ToolFailure, ToolSpec
from prx.plugins.abi.ffi import Words
from prx.plugins.abi.jsonschema import parameters_schema
from prx.plugins.abi.lift import compile_lift
from prx.plugins.abi.lower import compile_lower
from prx.plugins.abi.measure import compile_measure
from prx.plugins.abi.memory import Memory
from prx.plugins.abi.scalars import LowerError
from prx.plugins.abi.wit import FuncType, ResultType, snake
from prx.plugins.inspect import Function, Inspection
from prx.plugins.probe import EXPORT as PROBE_EXPORT
from prx.plugins.worlds.binding import Binding

# componentize-py runs this at build time and leaves it exported.
_BUILD_LEFTOVERS = {("exports", "init")}


def plain_functions(inspection: Inspection) -> list[Function]:
    """Return the exported functions that are the component's own."""
    return [
        function
        for function in inspection.exports
        if function.name != PROBE_EXPORT and (function.interface, function.name) not in _BUILD_LEFTOVERS
    ]


def bind_plain(
    functions: list[Function], *, prefix: str, source: str, descriptions: Mapping[str, str]
) -> list[Binding]:
    """Return a binding for each function that has a JSON form; `descriptions` are by tool name, without `prefix`."""
    names = _tool_names(functions)
    return [
        _bind(
            function, function.type, prefix + names[function], source, descriptions.get(names[function], "")
        )
        for function in functions
        if function.type is not None
    ]


def _tool_names(functions: list[Function]) -> dict[Function, str]:
    short = [snake(function.name) for function in functions]
    return {
        function: name if short.count(name) == 1 else f"{_interface(function)}{name}"
        for function, name in zip(functions, short, strict=True)
    }


def _interface(function: Function) -> str:
    """`my:pkg/text-tools@1.0.0` is `text_tools_` before a name that two interfaces share."""
    if function.interface is None:
        return ""
    return snake(function.interface.rpartition("/")[2].partition("@")[0]) + "_"


def _bind(function: Function, signature: FuncType, name: str, source: str, description: str) -> Binding:
    params = [(snake(param), compile_lower(ty, "base64")) for param, ty in signature.params]

    def lower(arguments: Mapping[str, Any], memory: Memory) -> list[Words]:
        words = []
        for param, lower_param in params:
            try:
                words.append(lower_param(arguments.get(param), memory))
            except LowerError as error:
                raise error.under(f"arguments.{param}") from None
        return words

    return Binding(
        spec=ToolSpec(
            name=name,
            description=description or f"{function.name}: {signature}",
            parameters=parameters_schema(signature),
            source=source,
        ),
        function=function,
        lower=lower,
        measure=compile_measure(signature.result) if signature.result is not None else None,
        lift=compile_lift(signature.result, "base64") if signature.result is not None else None,
        outcome=_result_outcome if isinstance(signature.result, ResultType) else _value_outcome,
    )


def _value_outcome(value: Any) -> tuple[Any, ToolFailure | None]:
    return value, None


def _result_outcome(value: Any) -> tuple[Any, ToolFailure | None]:
    if "ok" in value:
        return value["ok"], None
    error = value["err"]
    message = error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
    return None, ToolFailure("tool_error", message)
