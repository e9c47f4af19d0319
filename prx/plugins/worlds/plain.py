"""Plain components: every exported function is a tool, typed by its WIT signature."""

import json
import re
from collections import Counter
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
from prx.plugins.worlds.binding import Binding, BoundTool
from prx.plugins.worlds.files import compile_files

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
) -> list[BoundTool]:
    """Return a tool for each function that has a JSON form; `descriptions` are by tool name, without `prefix`."""
    names = _tool_names(functions)
    return [
        _bind(
            function, function.type, prefix + names[function], source, descriptions.get(names[function], "")
        )
        for function in functions
        if function.type is not None
    ]


def _tool_names(functions: list[Function]) -> dict[Function, str]:
    """Name each tool by its function, and where several have one name by their interfaces, versions at last."""
    names = [_name(function) for function in functions]
    for qualified in (_by_interface, _by_path):
        taken = Counter(names)
        names = [
            name if taken[name] == 1 else qualified(function)
            for function, name in zip(functions, names, strict=True)
        ]
    return dict(zip(functions, names, strict=True))


def _name(function: Function) -> str:
    # A function that belongs to a resource without taking one is `[static]resource.function`.
    return snake(function.name.removeprefix("[static]").replace(".", "-"))


def _by_interface(function: Function) -> str:
    """`my:pkg/text-tools@1.0.0#slugify` is `text_tools_slugify`."""
    interface = (function.interface or "").rpartition("/")[2].partition("@")[0]
    return f"{snake(interface)}_{_name(function)}" if interface else _name(function)


def _by_path(function: Function) -> str:
    """`my:pkg/text-tools@1.0.0#slugify` is `my_pkg_text_tools_1_0_0_slugify`."""
    path = re.sub("[^0-9A-Za-z]+", "-", function.interface or "")
    return f"{snake(path)}_{_name(function)}" if path else _name(function)


def _bind(function: Function, signature: FuncType, name: str, source: str, description: str) -> BoundTool:
    params = [(snake(param), compile_lower(ty, "base64")) for param, ty in signature.params]

    def lower(arguments: Mapping[str, Any], memory: Memory) -> list[Words]:
        words = []
        for param, lower_param in params:
            try:
                words.append(lower_param(arguments.get(param), memory))
            except LowerError as error:
                raise error.under(f"arguments.{param}") from None
        return words

    spec = ToolSpec(
        name=name,
        description=description or f"{function.name}: {signature}",
        parameters=parameters_schema(signature),
        source=source,
    )
    binding = Binding(
        function=function,
        lower=lower,
        measure=compile_measure(signature.result) if signature.result is not None else None,
        lift=compile_lift(signature.result, "base64") if signature.result is not None else None,
        outcome=_result_outcome if isinstance(signature.result, ResultType) else _value_outcome,
    )
    return BoundTool(spec, binding, compile_files(signature.result))


def _value_outcome(value: Any) -> tuple[Any, ToolFailure | None]:
    return value, None


def _result_outcome(value: Any) -> tuple[Any, ToolFailure | None]:
    if "ok" in value:
        return value["ok"], None
    error = value["err"]
    if error is None:
        return None, ToolFailure("tool_error", "the function failed and gave no reason")
    message = error if isinstance(error, str) else json.dumps(error, ensure_ascii=False)
    return None, ToolFailure("tool_error", message)
