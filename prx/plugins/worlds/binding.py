"""How one exported function is called, and what of a component is called as what."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from prx.core.tool import CallContext, ToolFailure, ToolFile, ToolResult, ToolSpec
from prx.plugins.abi.ffi import Words
from prx.plugins.abi.lift import Lift, compile_lift
from prx.plugins.abi.lower import compile_lower
from prx.plugins.abi.measure import Measure, compile_measure
from prx.plugins.abi.memory import Memory
from prx.plugins.abi.wit import FuncType, ResultType
from prx.plugins.inspect import Function


@dataclass(frozen=True, slots=True)
class Binding:
    """One function, with its arguments and result both ways."""

    function: Function
    lower: Callable[[Any, Memory], list[Words]]
    """From the arguments, in the form that the world gives them, to the parameters; raises `BadRequestError`."""
    measure: Measure | None
    """The size of the result, before it is lifted; `None` for a function without one."""
    lift: Lift | None
    """From the result to Python; `None` for a function without one."""
    outcome: Callable[[Any], tuple[Any, ToolFailure | None]]
    """From the lifted result to the output and the guest's own error."""


class BoundTool(NamedTuple):
    """A function that is offered as a tool."""

    spec: ToolSpec
    binding: Binding
    find_files: Callable[[Any], Iterable[ToolFile]] | None = None
    """From the output to the files in it; None where there can be none."""


class Guest(Protocol):
    """Who runs bindings: a generation, or the gate before it."""

    async def call(self, binding: Binding, arguments: Any, context: CallContext) -> ToolResult:
        """Run one call; a trap, a limit or an error of the guest's own is a result with an `error`.

        Raises:
            ConflictError: the plugin is in quarantine.
            UnavailableError: too many calls wait for it already.
        """


to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""JSON text as guests are given it. Made once: `json.dumps` makes an encoder for every value."""


class Signature:
    """The type of one function of a PRX world, compiled once for every component that exports it."""

    def __init__(self, params: Sequence[tuple[str, Any]] = (), result: Any = None) -> None:
        """Take and return values of these WIT types; `list<u8>` is `bytes`."""
        self.type = FuncType(tuple(params), result)
        self._lowers = [compile_lower(param, "bytes") for _, param in params]
        self._lift = compile_lift(result, "bytes") if result is not None else None
        self._measure = compile_measure(result) if result is not None else None
        self._outcome = _result_outcome if isinstance(result, ResultType) else _value_outcome

    def bind(self, function: Function) -> Binding:
        """Return the binding of `function`, which has this type; its arguments are a sequence."""
        return Binding(function, self._lower, self._measure, self._lift, self._outcome)

    def _lower(self, arguments: Sequence[Any], memory: Memory) -> list[Words]:
        return [lower(value, memory) for lower, value in zip(self._lowers, arguments, strict=True)]


def _value_outcome(value: Any) -> tuple[Any, ToolFailure | None]:
    return value, None


def _result_outcome(value: Any) -> tuple[Any, ToolFailure | None]:
    if "ok" in value:
        return value["ok"], None
    return None, ToolFailure("tool_error", value["err"] or "the plugin failed and gave no reason")
