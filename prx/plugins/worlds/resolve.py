"""Which kind of component this is, told by what it exports, never by configuration."""

from dataclasses import dataclass

from prx.plugins.abi.wit import FuncType
from prx.plugins.errors import LoadError
from prx.plugins.inspect import Function, Inspection
from prx.plugins.worlds import plain, tool

_PACKAGE = "prx:plugin/"
_VERSION = "0.1.0"
_SERIES = "0.1."
_SUFFIX = "-exports"


@dataclass(frozen=True, slots=True)
class ToolExports:
    """The functions of the `tool` world."""

    get_spec: Function
    execute: Function


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a component brings."""

    tool: ToolExports | None
    plain: list[Function]


def resolve(inspection: Inspection) -> Resolved:
    """Tell a PRX world from a plain component.

    Raises:
        LoadError: it exports a PRX world that this host does not run, or nothing at all.
    """
    worlds = sorted(name for name in inspection.exported_interfaces() if name.startswith(_PACKAGE))
    if not worlds:
        functions = plain.plain_functions(inspection)
        if not any(function.type is not None for function in functions):
            raise LoadError(
                "exports no function that can be called: export functions of plain value types, or one of the worlds "
                "of prx:plugin@0.1.0 (docs/plugins.md#worlds)" + _skipped(functions)
            )
        return Resolved(None, functions)
    for name in worlds:
        path, _, version = name.partition("@")
        if path != tool.INTERFACE or (version and not version.startswith(_SERIES)):
            raise LoadError(
                f"exports {name}, but this host runs {tool.INTERFACE}@{_VERSION}: "
                "rebuild against the WIT files that come with PRX (docs/plugins.md#worlds)"
            )
    return Resolved(
        ToolExports(
            *(_typed(inspection, worlds[0], name, signature) for name, signature in tool.SIGNATURES.items())
        ),
        [],
    )


def _typed(inspection: Inspection, interface: str, name: str, expected: FuncType) -> Function:
    for function in inspection.exports:
        if function.interface == interface and function.name == name:
            found = function.type
            if found is None or found.result != expected.result or _types(found) != _types(expected):
                raise LoadError(f"exports {interface}#{name} as {found}, expected {expected}")
            return function
    raise LoadError(f"exports {interface} without the function {name}: expected {expected}")


def _types(function: FuncType) -> list[object]:
    return [ty for _, ty in function.params]


def _skipped(functions: list[Function]) -> str:
    reasons = [f"{function}: {function.skipped}" for function in functions if function.skipped]
    return f"; skipped {'; '.join(reasons)}" if reasons else ""
