"""`docs/plugins.md` has every key, permission, limit and error code that the host has."""

import ast
import re
from collections.abc import Iterator
from typing import get_args

from prx.config.schema import Permission, PluginLimits
from prx.plugins.faults import _TRAPS
from prx.plugins.manifest import About, Capability, Permissions, Resources
from tests.unit.docs.documents import DOCS, ROOT, first_cells, sections

SECTIONS = sections((DOCS / "plugins.md").read_text(), 2)
_CODED = {"GuestError", "ToolFailure"}


def test_every_key_of_the_manifest_is_documented_and_every_documented_one_exists() -> None:
    tables = {
        "[plugin]": About,
        "[[capabilities]]": Capability,
        "[permissions]": Permissions,
        "[resources]": Resources,
    }
    keys = {f"{table} {key}" for table, model in tables.items() for key in model.model_fields}
    assert set(first_cells(SECTIONS["Manifest"])) == keys | {"[config] ..."}


def test_every_limit_is_documented_and_every_documented_one_exists() -> None:
    limits = SECTIONS["Limits"].partition("Fixed bounds")[0]
    assert set(first_cells(limits)) == set(PluginLimits.model_fields)


def test_the_documented_defaults_of_limits_are_those_of_the_configuration() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\S+) \|", SECTIONS["Limits"].partition("Fixed bounds")[0], re.MULTILINE
    )
    shown = {name: default.strip('`"') for name, default in rows}
    defaults = PluginLimits().model_dump()
    assert shown == {name: "unset" if value is None else str(value) for name, value in defaults.items()}


def test_every_error_code_of_a_call_is_documented_and_every_documented_one_exists() -> None:
    documented = set(first_cells(SECTIONS["Limits"].partition("### Error codes")[2]))
    assert documented == set(error_codes())


def test_every_permission_is_documented() -> None:
    section = SECTIONS["Permissions and grants"] + SECTIONS["Worlds"] + SECTIONS["Manifest"]
    assert [name for name in get_args(Permission) if f"`{name}`" not in section] == []


def error_codes() -> Iterator[str]:
    """Yield the codes that guests' calls end with, as the code of the host writes them."""
    for path in (ROOT / "prx" / "plugins").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", None) not in _CODED:
                continue
            if node.args and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value
    yield from (code for code, _ in _TRAPS.values())
