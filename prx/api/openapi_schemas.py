"""JSON Schemas of bodies, queries and answers, as OpenAPI 3.1 takes them."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

_PLACE: Final = "#/components/schemas/{model}"
_VARIABLE: Final = re.compile(r"\{(\w+)\}")


class Schemas:
    """The schemas of models, those that are in others among them, each once."""

    def __init__(self, *models: Any) -> None:
        """Make those of `models`: pydantic's, typed dicts, or plain types."""
        found, definitions = TypeAdapter.json_schemas(
            # What is left out of an answer because it is the default is not required, as in a request.
            [(model, "validation", TypeAdapter(model)) for model in dict.fromkeys(models)],
            ref_template=_PLACE,
            schema_generator=_Generator,
        )
        self._schemas: dict[Any, Any] = {model: schema for (model, _), schema in found.items()}
        self.components: dict[str, Any] = _told(definitions["$defs"])

    def of(self, model: Any) -> dict[str, Any]:
        """Return the schema of `model`, where it has a name a reference to it."""
        schema: dict[str, Any] = self._schemas[model]
        return schema


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        """Leave out titles that repeat the field's name."""
        return False


def _told(schema: Any) -> Any:
    """Return `schema` without saying that secrets are only written: answers have them, masked."""
    if isinstance(schema, dict):
        return {key: _told(value) for key, value in schema.items() if key != "writeOnly"}
    return [_told(value) for value in schema] if isinstance(schema, list) else schema


def parameters_of_path(path: str) -> list[dict[str, Any]]:
    """Return the parameters that stand in `path`."""
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _VARIABLE.findall(path)
    ]


def parameters_of_query(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Return the parameters that `model` reads from a query."""
    schema = model.model_json_schema(schema_generator=_Generator)
    required = schema.get("required", [])
    return [
        _parameter(name, field, required=name in required) for name, field in schema["properties"].items()
    ]


def _parameter(name: str, field: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    schema = dict(field)
    description = schema.pop("description", None)
    if "anyOf" in schema:
        # Null is how the model says that it was not given, which no query can say otherwise.
        if schema.get("default", ...) is None:
            schema.pop("default")
        kinds = [kind for kind in schema.pop("anyOf") if kind != {"type": "null"}]
        schema |= kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    parameter = {"name": name, "in": "query", "required": required, "schema": schema}
    return parameter if description is None else parameter | {"description": description}
