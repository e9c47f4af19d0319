"""Which kind of component this is, told by what it exports, never by configuration."""

from collections.abc import Mapping
from dataclasses import dataclass

from prx.plugins.abi.wit import FuncType
from prx.plugins.errors import LoadError
from prx.plugins.inspect import Function, Inspection
from prx.plugins.worlds import channel, cron, hook, middleware, plain, provider, storage, tool
from prx.plugins.worlds.binding import Binding, Signature

_PACKAGE = "prx:plugin/"
_HOST_PACKAGE = "prx:host/"

_INTERFACES: Mapping[str, Mapping[str, Signature]] = {
    module.INTERFACE: module.SIGNATURES
    for module in (tool, middleware, hook, cron, provider, storage, channel)
}
_FIRST_VERSION = "0.1.0"
# Of worlds that came later: those of the first version stay what they are.
_VERSIONS = {channel.INTERFACE: "0.2.0"}


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a component brings. With neither it is a `base-plugin`, which may be loaded and brings nothing."""

    worlds: Mapping[str, Mapping[str, Binding]]
    """The functions of each PRX world that it exports, by the world's name (`tool`, `hook`, ...)."""
    plain: list[Function]
    """The functions of a plain component."""


def resolve(inspection: Inspection) -> Resolved:
    """Tell PRX worlds from a plain component.

    Raises:
        LoadError: it exports a PRX world that this host does not run, or nothing at all.
    """
    exported = sorted(name for name in inspection.exported_interfaces() if name.startswith(_PACKAGE))
    if exported:
        return Resolved({_world(name): _bound(inspection, name) for name in exported}, [])
    functions = plain.plain_functions(inspection)
    if any(function.type is not None for function in functions):
        return Resolved({}, functions)
    if not functions and any(name.startswith(_HOST_PACKAGE) for name in inspection.imported_interfaces):
        return Resolved({}, [])
    raise LoadError(
        "exports no function that can be called: export functions of plain value types, or one of the worlds "
        "of prx:plugin (docs/plugins.md#worlds)" + _skipped(functions)
    )


def _world(interface: str) -> str:
    path, _, version = interface.partition("@")
    if path not in _INTERFACES or (version and not _is_in_series(version, _version(path))):
        offered = ", ".join(f"{name}@{_version(name)}" for name in _INTERFACES)
        raise LoadError(
            f"exports {interface}, but this host runs {offered}: "
            "rebuild against the WIT files that come with PRX (docs/plugins.md#worlds)"
        )
    return path.removeprefix(_PACKAGE).removesuffix("-exports")


def _version(path: str) -> str:
    return _VERSIONS.get(path, _FIRST_VERSION)


def _is_in_series(version: str, offered: str) -> bool:
    """Tell whether the two differ in nothing but the patch level."""
    return version.startswith(offered.rpartition(".")[0] + ".")


def _bound(inspection: Inspection, interface: str) -> dict[str, Binding]:
    signatures = _INTERFACES[interface.partition("@")[0]]
    return {
        name: signature.bind(_typed(inspection, interface, name, signature.type))
        for name, signature in signatures.items()
    }


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
