"""What is wrong with a configuration, in words for the operator: file, line, key, what was expected."""

import json
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Protocol

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from prx.config.inspection import Key, keys_of_table
from prx.config.types import is_secret_key
from prx.core.errors import ConfigError

_MAX_REPORTED = 20
_MAX_SHOWN_VALUE = 60


class Source(Protocol):
    """Some keys and where they were set."""

    @property
    def origin(self) -> str:
        """A file's path, a variable's or a flag's name."""

    @property
    def tree(self) -> dict[str, Any]:
        """The keys."""

    @property
    def text(self) -> str | None:
        """The TOML they were read from, if it was TOML."""


def explain(error: ValidationError, sources: Sequence[Source]) -> ConfigError:
    """Return one error that lists each wrong key with its place; no secret value is in it."""
    details = error.errors(include_url=False, include_context=False)[:_MAX_REPORTED]
    lines = [
        f"{_place(detail['loc'], sources)}{_dotted(detail['loc'])}: {_message(detail)}" for detail in details
    ]
    if (more := error.error_count() - len(details)) > 0:
        lines.append(f"and {more} more")
    fields = [{"field": _dotted(detail["loc"]), "message": _message(detail)} for detail in details]
    return ConfigError("\n".join(lines), details={"errors": fields})


def line_of(key: Key, text: str) -> int | None:
    """Return the line of valid TOML `text` on which the statement begins that sets `key`, counted from 1."""
    tables = ""  # the headers that the next statement stands under
    start, statement = 1, ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        statement += line
        try:
            tree = tomllib.loads(tables + statement)
        except tomllib.TOMLDecodeError:
            continue  # a value that goes on over the next line
        if statement.lstrip().startswith("["):
            tables = _headers(tables) + statement
        if _holds(tree, key):
            return start
        start, statement = number + 1, ""
    return None


def _headers(tables: str) -> str:
    """Return what must stand above the next header: the elements of arrays, which have positions."""
    return "".join(line for line in tables.splitlines(keepends=True) if line.lstrip().startswith("[["))


def _place(key: Key, sources: Sequence[Source]) -> str:
    """Return `<file>:<line>: ` or `<origin>: ` of the layer that set `key` or a table around it."""
    for length in range(len(key), 0, -1):
        for source in reversed(sources):
            if _holds(source.tree, key[:length]):
                line = None if source.text is None else line_of(key[:length], source.text)
                return f"{source.origin}: " if line is None else f"{source.origin}:{line}: "
    return ""


def _holds(tree: Any, key: Key) -> bool:
    for part in key:
        if isinstance(tree, list):
            tree = dict(enumerate(tree))
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return True


def _dotted(key: Key) -> str:
    return ".".join(map(str, key))


def _message(detail: ErrorDetails) -> str:
    key = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return _unknown_key(key)
    if detail["type"] == "missing":
        return "missing, and has no default"
    shown = detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    value = detail["input"]
    if detail["type"] == "value_error" or isinstance(value, dict | list) or _is_secret(key):
        return shown
    return f"{shown}, not {json.dumps(value, default=str)[:_MAX_SHOWN_VALUE]}"


def _unknown_key(key: Key) -> str:
    known = keys_of_table(key[:-1])
    close = get_close_matches(str(key[-1]), known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"this table knows {', '.join(known)}"
    return f"unknown key; {hint}"


def _is_secret(key: Key) -> bool:
    return any(is_secret_key(str(part)) or part in {"env", "headers"} for part in key)
