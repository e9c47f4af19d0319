"""`docs/configuration.md` is what the schema says, and `docs/operators.md` which keys change nothing yet."""

import ast
from functools import cache

import pytest
from pydantic import BaseModel

from prx.config.inspection import annotation_at
from prx.config.schema import Config
from tests.unit.docs.configuration_reference import TARGET, nested_table, reference
from tests.unit.docs.documents import DOCS, ROOT, first_cells, sections

WITHOUT_EFFECT = first_cells(sections((DOCS / "operators.md").read_text(), 3)["Keys without effect"])


def test_the_reference_is_made_from_the_schema_as_it_is() -> None:
    """When this fails: python -m tests.unit.docs.configuration_reference."""
    assert TARGET.read_text() == reference()


def test_every_key_has_a_meaning_and_says_when_it_takes_effect() -> None:
    assert unexplained(Config) == []


@pytest.mark.parametrize("key", WITHOUT_EFFECT)
def test_a_key_that_is_documented_as_without_effect_exists_and_is_read_nowhere(key: str) -> None:
    assert annotation_at(key.split(".")) is not None
    assert key.rpartition(".")[2] not in names_read()


@cache
def names_read() -> frozenset[str]:
    """Return every attribute that the source asks for, but for the packages that check the configuration."""
    rooms = [
        path
        for path in (ROOT / "prx").rglob("*.py")
        if not {"config", "doctor"}.intersection(path.relative_to(ROOT / "prx").parts)
    ]
    trees = (ast.walk(ast.parse(path.read_text())) for path in rooms)
    return frozenset(node.attr for tree in trees for node in tree if isinstance(node, ast.Attribute))


def unexplained(table: type[BaseModel], path: str = "") -> list[str]:
    """Return the keys that a reader of the reference would learn nothing about."""
    found = []
    for name, field in table.model_fields.items():
        key = f"{path}{name}"
        inner, suffix = nested_table(field.annotation)
        if inner is not None:
            found += unexplained(inner, f"{key}{suffix}.")
        if inner is None or suffix:
            declared = field.json_schema_extra
            reload = declared.get("reload") if isinstance(declared, dict) else None
            if not field.description or reload not in ("hot", "restart"):
                found.append(key)
    return found
