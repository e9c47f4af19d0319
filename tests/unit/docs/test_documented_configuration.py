"""`docs/configuration.md` is what the schema says."""

from pydantic import BaseModel

from prx.config.schema import Config
from tests.unit.docs.configuration_reference import TARGET, nested_table, reference


def test_the_reference_is_made_from_the_schema_as_it_is() -> None:
    """When this fails: python -m tests.unit.docs.configuration_reference."""
    assert TARGET.read_text() == reference()


def test_every_key_has_a_meaning_and_says_when_it_takes_effect() -> None:
    assert unexplained(Config) == []


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
