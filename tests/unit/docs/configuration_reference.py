"""`docs/configuration.md`, made from the schema: `python -m tests.unit.docs.configuration_reference` writes it anew."""

import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from prx.config.schema import Config
from tests.unit.docs.documents import DOCS

TARGET: Final = DOCS / "configuration.md"

_INTRODUCTION: Final = """\
# Configuration

Every key of `prx.toml`, made from the schema that checks it. How files, environment and flags are put together, and
what a reload does, stands in [operators.md](operators.md#configuration).

`hot` keys take effect when the daemon reloads its configuration (SIGHUP), `restart` keys when it starts again. A key in
the environment has two underscores for each dot: `gateway.port` is `PRX__GATEWAY__PORT`. An unknown key is an error.
"""
_WORDS: Final = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}
_BOUNDS: Final = {"ge": "at least {}", "gt": "more than {}", "le": "at most {}", "lt": "less than {}"}
_SIZES: Final = {"min_length": "at least {} long", "max_length": "at most {} long", "pattern": "`{}`"}


def reference() -> str:
    """Return the whole document."""
    return "\n".join([_INTRODUCTION, *_table("", Config, "")])


def _table(path: str, table: type[BaseModel], about: str) -> Iterator[str]:
    """Yield the lines of one table and of those inside it."""
    rows, inner = [], []
    for name, field in table.model_fields.items():
        key = f"{path}.{name}".lstrip(".")
        nested, suffix = nested_table(field.annotation)
        if nested is not None:
            inner.append((key + suffix, nested, field.description or ""))
        if nested is None or suffix:
            rows.append(
                f"| `{name}` | {_type(field)} | {_default(field)} | {_reload(field)} | {field.description} |"
            )
    if path:
        yield f"## `{path}`\n"
        yield f"{(about or table.__doc__ or '').strip()}\n"
    if rows and path:
        yield "| key | type | default | takes effect | meaning |\n| --- | --- | --- | --- | --- |"
        yield from rows
        yield ""
    for key, nested, description in inner:
        yield from _table(key, nested, nested.__doc__ or description)


def nested_table(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the table that a key holds, if any, and what stands for its name: nothing, `<name>` or `[]`."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    of, suffix = (get_args(annotation) or (None,)), ""
    if get_origin(annotation) is dict:
        of, suffix = get_args(annotation)[1:], ".<name>"
    elif get_origin(annotation) is tuple:
        suffix = "[]"
    if suffix and isinstance(of[0], type) and issubclass(of[0], BaseModel):
        return of[0], suffix
    return None, ""


def _type(field: FieldInfo) -> str:
    bounds = [
        words.format(json.dumps(value) if name != "pattern" else value)
        for name, words in {**_BOUNDS, **_SIZES}.items()
        for part in field.metadata
        if (value := getattr(part, name, None)) is not None
    ]
    return ", ".join([_word(_bare(field.annotation)), *bounds]).replace("|", "\\|")


def _word(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return f"list of {_word(_bare(arguments[0]))}"
    if origin is dict:
        return f"table of {_word(_bare(arguments[1]))}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "tables"
    return _WORDS.get(annotation, "secret text")


def _bare(annotation: Any) -> Any:
    """Return the type without `Annotated` and without `None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not types.NoneType)
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the platform's"
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "unset"
    return f"`{json.dumps(field.default)}`"


def _reload(field: FieldInfo) -> str:
    declared = field.json_schema_extra
    return str(declared["reload"]) if isinstance(declared, dict) else ""


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
