"""How one exported function is called as a tool."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prx.core.tool import ToolFailure, ToolSpec
from prx.plugins.abi.ffi import Words
from prx.plugins.abi.lift import Lift
from prx.plugins.abi.measure import Measure
from prx.plugins.abi.memory import Memory
from prx.plugins.inspect import Function


@dataclass(frozen=True, slots=True)
class Binding:
    """One tool: the function behind it, and its arguments and result both ways."""

    spec: ToolSpec
    function: Function
    lower: Callable[[Mapping[str, Any], Memory], list[Words]]
    """From the arguments object to the function's parameters; raises `BadRequestError`."""
    measure: Measure | None
    """The size of the result, before it is lifted; `None` for a function without one."""
    lift: Lift | None
    """From the result to Python; `None` for a function without one."""
    outcome: Callable[[Any], tuple[Any, ToolFailure | None]]
    """From the lifted result to the tool's output and its own error."""
