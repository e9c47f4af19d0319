"""How much a schema is once its references are followed."""

from typing import Any

import pytest

from prx.runtime.schemas import expanded_size


def chain(levels: int, *, references: int = 2) -> dict[str, Any]:
    """Definitions of which each refers several times to the next."""
    definitions: dict[str, Any] = {
        f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * references} for level in range(levels)
    }
    return {"$defs": {**definitions, f"d{levels}": {"type": "string"}}, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "size"),
    [
        ({}, 1),
        ({"type": "object"}, 1),
        ({"properties": {"a": {}, "b": {"items": {}}}}, 5),
        ({"$ref": "#"}, 2),
        ({"enum": ["a", "b"]}, 1),
        ({"$defs": {"a": {}}, "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}, 7),
        ({"$defs": {"a/b~c": {"not": {}}}, "$ref": "#/$defs/a~1b~0c"}, 6),
        ({"prefixItems": [{"not": {}}], "items": {"$ref": "#/prefixItems/0"}}, 6),
        ({"$defs": {"x": {"$anchor": "a", "not": {}}}, "$ref": "#a"}, 6),
        ({"$defs": {"x": {"$id": "urn:x", "$defs": {"y": {}}, "$ref": "#/$defs/y"}}}, 6),
        ({"$ref": "#/nowhere"}, 1),
        ({"$ref": 5}, 1),
    ],
)
def test_subschemas_are_counted_with_what_references_point_at(schema: dict[str, Any], size: int) -> None:
    assert expanded_size(schema) == size


def test_what_doubles_at_each_level_is_counted_and_not_followed() -> None:
    assert expanded_size(chain(10)) > 2**10
    assert expanded_size(chain(100)) > 2**100
    assert expanded_size(chain(100, references=1)) < 20_000


def test_recursive_schemas_count_once() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}}
    assert expanded_size(tree) == 6


def test_definitions_that_are_nested_too_deeply_are_refused() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        expanded_size(chain(5000, references=1))


def test_a_reference_out_of_the_schema_is_refused() -> None:
    with pytest.raises(
        ValueError, match="reference to urn:x: only references inside the schema are followed"
    ):
        expanded_size({"$defs": {"x": {"$id": "urn:x"}}, "$ref": "urn:x"})
