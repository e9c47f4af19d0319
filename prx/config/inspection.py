"""Questions about the schema: what is declared at a dotted key, when it takes effect, and what is nearest to it."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from prx.config.channels import PLATFORMS, ChannelConfig, table_of
from prx.config.keys import Key, dotted
from prx.config.schema import Config
from prx.config.words import bare, described, is_table

_SIMILAR: Final = 0.75


def annotation_at(key: Sequence[str | int]) -> Any:
    """Return the declared type at `key`: `Any` where a table takes keys of its own, None where nothing is declared."""
    annotation: Any = Config
    for part in key:
        annotation = _step(bare(annotation), part)
    return bare(annotation)


def field_at(key: Sequence[str | int]) -> FieldInfo | None:
    """Return the declaration that `key` names, or None where it names none, such as a place in a list."""
    table = annotation_at(key[:-1])
    return table.model_fields.get(key[-1]) if is_table(table) else None


def is_restart_only(key: Sequence[str | int]) -> bool:
    """Tell whether a new value at `key`, which is no declared table, waits for the next start."""
    for length in range(len(key), 0, -1):
        field = field_at(key[:length])
        if field is not None:
            return field.json_schema_extra == {"reload": "restart"}
    return False


def keys_of_table(key: Sequence[str | int]) -> list[str]:
    """Return the keys that the table at `key` declares."""
    table = annotation_at(key)
    return sorted(table.model_fields) if is_table(table) else []


def nearest(key: Key) -> str | None:
    """Return the declared key that is most like the unknown `key`, with the names of tables that it uses."""
    known = {dotted(declared): None for declared in _declared(Config, (), key)}
    close = get_close_matches(dotted(key), known, n=1, cutoff=_SIMILAR)
    if close:
        return close[0]
    return next((name for name in known if name.rpartition(".")[2] == str(key[-1])), None)


@cache
def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration; `reload` of a key tells when a new value takes effect."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    schema = Config.model_json_schema()
    for kind in PLATFORMS:
        _add_platform(schema, table_of(kind))
    return {"$schema": dialect, **schema}


def takes_text(key: Sequence[str | int]) -> bool:
    """Tell whether a plain string is a possible value at `key`."""
    annotation = annotation_at(key)
    return annotation in (str, Path, SecretStr) or get_origin(annotation) is Literal


def expected(key: Sequence[str | int]) -> str | None:
    """Say which values `key` takes, such as "integer, at least 0, at most 65535"; None where any or nothing is."""
    annotation = annotation_at(key)
    if annotation is None or annotation is Any:
        return None
    field = field_at(key)
    return described(annotation, [] if field is None else field.metadata)


def _add_platform(schema: dict[str, Any], table: type[ChannelConfig]) -> None:
    """Have channels be of this platform, too."""
    channels = schema["properties"]["channels_config"]
    channels["additionalProperties"] = {
        "anyOf": [
            *channels["additionalProperties"].get("anyOf", [channels["additionalProperties"]]),
            {"$ref": f"#/$defs/{table.__name__}"},
        ]
    }
    own = table.model_json_schema()
    schema["$defs"] |= {**own.pop("$defs", {}), table.__name__: own}


def _step(annotation: Any, part: str | int) -> Any:
    if annotation is Any:
        return Any
    if is_table(annotation):
        field = annotation.model_fields.get(part)
        if field is not None:
            return field.annotation
        # A channel's `type` may be another than its name says.
        return Any if issubclass(annotation, ChannelConfig) else None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is dict and isinstance(part, str):
        return table_of(part) if arguments[1] is ChannelConfig else arguments[1]
    if origin is tuple and isinstance(part, int):
        return arguments[0]
    return None


def _declared(annotation: Any, above: Key, names: Key) -> Iterator[Key]:
    """Yield every declared key; tables that are told apart by a name have the one at that place of `names`."""
    annotation = bare(annotation)
    if is_table(annotation):
        for name, field in annotation.model_fields.items():
            yield from _declared(field.annotation, (*above, name), names)
    elif get_origin(annotation) is dict and is_table(get_args(annotation)[1]):
        name = names[len(above)] if len(above) < len(names) else "NAME"
        yield from _declared(get_args(annotation)[1], (*above, name), names)
    else:
        yield above
