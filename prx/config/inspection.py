"""Questions about the schema: which type stands at a dotted key, and which keys a table knows."""

import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from prx.config.schema import Config

Key = tuple[str | int, ...]


def annotation_at(key: Sequence[str | int]) -> Any:
    """Return the declared type at `key`, or None where nothing is declared."""
    annotation: Any = Config
    for part in key:
        annotation = _step(_bare(annotation), part)
    return _bare(annotation)


def keys_of_table(key: Sequence[str | int]) -> list[str]:
    """Return the keys that the table at `key` declares."""
    table = annotation_at(key)
    return sorted(table.model_fields) if _is_table(table) else []


def takes_text(key: Sequence[str | int]) -> bool:
    """Tell whether a plain string is a possible value at `key`."""
    annotation = annotation_at(key)
    return annotation in (str, Path, SecretStr) or get_origin(annotation) is Literal


def _step(annotation: Any, part: str | int) -> Any:
    if _is_table(annotation):
        field = annotation.model_fields.get(part)
        return None if field is None else field.annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is dict:
        return arguments[1]
    if origin is tuple:
        return arguments[0]
    return None


def _bare(annotation: Any) -> Any:
    """Return the type without `Annotated` and without `None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not types.NoneType)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
