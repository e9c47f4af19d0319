"""What is wrong with a configuration, in words for the operator: file, line, key, what was expected."""

from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from prx.config.echo import echo
from prx.config.inspection import annotation_at, expected, keys_of_table, nearest
from prx.config.keys import Key, dotted, holds
from prx.config.redaction import without_credentials
from prx.config.toml import Layer
from prx.config.types import is_secret_key
from prx.config.words import is_table
from prx.core.errors import ConfigError

_MAX_REPORTED: Final = 20
# What pydantic puts behind the name of a table where the name itself is wrong.
_NAME_OF_TABLE: Final = "[key]"


def explain(error: ValidationError, layers: Sequence[Layer]) -> ConfigError:
    """Return one error that lists each wrong key with its place; no secret value is in it."""
    details = found(error)
    more = len(details) - _MAX_REPORTED
    details = details[:_MAX_REPORTED]
    lines = [
        f"{_place(detail['loc'], layers)}{dotted(detail['loc'])}: {message(detail)}" for detail in details
    ]
    if more > 0:
        lines.append(f"and {more} more")
    fields = [{"field": dotted(detail["loc"]), "message": message(detail)} for detail in details]
    return ConfigError("\n".join(lines), details={"errors": fields})


def found(error: ValidationError) -> list[ErrorDetails]:
    """Return everything that is wrong."""
    details = error.errors(include_url=False, include_context=False)
    # To pydantic a list is too short without its elements that are wrong.
    around = {detail["loc"][:-1] for detail in details}
    details = [each for each in details if each["type"] != "too_short" or each["loc"] not in around]
    for detail in details:
        if detail["loc"][-1:] == (_NAME_OF_TABLE,):
            detail["loc"] = detail["loc"][:-1]
    return details


def message(detail: ErrorDetails) -> str:
    """Say what is wrong with one key, and what was expected."""
    key = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return unknown(key)
    if detail["type"] == "missing":
        return "missing, and has no default"
    if detail["type"] == "value_error":
        return without_credentials(detail["msg"].removeprefix("Value error, "))
    annotation = annotation_at(key)
    if is_table(annotation):
        return "expected a table"
    wanted = expected(key)
    shown = detail["msg"] if wanted is None else f"expected {wanted}"
    value = detail["input"]
    if isinstance(value, dict | list) or _is_secret(key):
        return shown
    return f"{shown}, not {echo(value)}"


def unknown(key: Key) -> str:
    """Say that `key` is none, and which one was perhaps meant."""
    near = nearest(key)
    if near is not None:
        return f'unknown key; did you mean "{near}"?'
    known = keys_of_table(key[:-1])
    return f"unknown key; this table knows {', '.join(known)}" if known else "unknown key"


def _place(key: Key, layers: Sequence[Layer]) -> str:
    """Return `<file>:<line>: ` or `<origin>: ` of the layer that set `key` or a table around it."""
    for length in range(len(key), 0, -1):
        for layer in reversed(layers):
            if holds(layer.tree, key[:length]):
                return f"{layer.place(key[:length])}: "
    return ""


def _is_secret(key: Key) -> bool:
    return any(is_secret_key(str(part)) or part in {"env", "headers"} for part in key)
