"""Types of the configuration in words for the operator."""

import json
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

_WORDS: Final = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    Path: "path",
    SecretStr: "secret text",
}
_BOUNDS: Final = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
    "pattern": "`{}`",
}


def described(annotation: Any, constraints: Sequence[Any]) -> str:
    """Say which values a type takes."""
    bounds = [
        words.format(value if name == "pattern" else json.dumps(value))
        for name, words in _BOUNDS.items()
        for part in constraints
        if (value := getattr(part, name, None)) is not None
    ]
    return ", ".join([_word(bare(annotation)), *bounds])


def is_table(annotation: Any) -> bool:
    """Tell whether a type is a table with declared keys."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def bare(annotation: Any) -> Any:
    """Return the type without `Annotated` and without `None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(part for part in get_args(annotation) if part is not types.NoneType)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _word(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return f"one of {', '.join(arguments)}" if len(arguments) > 1 else arguments[0]
    if origin is tuple:
        return f"list of {_word(bare(arguments[0]))}"
    if origin is dict:
        return f"table of {_word(bare(arguments[1]))}"
    return "tables" if is_table(annotation) else _WORDS[annotation]
