"""Dotted keys as TOML writes them, such as `plugins.settings."my.plugin".tool_prefix`, and trees of them."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

Key = tuple[str | int, ...]
"""The parts of a dotted key; a number is a place in a list."""
Tree = dict[str, Any]

MAX_PARTS: Final = 16
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_PART: Final = re.compile(
    r"""[ \t]*(?:(?P<bare>[A-Za-z0-9_-]+)
    |(?P<basic>"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\.)*")
    |'(?P<literal>[^'\x00-\x08\x0a-\x1f\x7f]*)')[ \t]*""",
    re.ASCII | re.VERBOSE,
)


def parse_key(text: str) -> tuple[str, ...]:
    """Return the parts of a dotted key.

    Raises:
        ValueError: it is none; says what one is.
    """
    parts: list[str] = []
    at = 0
    while len(parts) < MAX_PARTS:
        match = _PART.match(text, at)
        if match is None:
            break
        parts.append(_part(match))
        at = match.end()
        if at == len(text):
            return tuple(parts)
        if text[at] != ".":
            break
        at += 1
    raise ValueError(
        f'no key: one is up to {MAX_PARTS} names joined by "."; a name with anything but letters, digits, "_" and "-" '
        'stands in quotes, as in plugins.settings."my.plugin".tool_prefix'
    )


def dotted(key: Key) -> str:
    """Return `key` as `parse_key` reads it."""
    return ".".join(str(part) if _BARE.fullmatch(str(part)) else _quoted(str(part)) for part in key)


def at(tree: Any, key: Key) -> Any:
    """Return what stands at `key` of `tree`.

    Raises:
        KeyError: nothing does.
    """
    for part in key:
        if isinstance(tree, list | tuple):
            tree = dict(enumerate(tree))
        if not isinstance(tree, dict) or part not in tree:
            raise KeyError(part)
        tree = tree[part]
    return tree


def holds(tree: Any, key: Key) -> bool:
    """Tell whether something stands at `key` of `tree`."""
    try:
        at(tree, key)
    except KeyError:
        return False
    return True


def leaves(tree: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every value that is no table, and every empty table, with its key."""
    for name, value in tree.items():
        key = (*above, name)
        if isinstance(value, dict) and value:
            yield from leaves(value, key)
        else:
            yield key, value


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """Lay one tree over the other: tables merge, any other value replaces."""
    result = dict(below)
    for name, value in above.items():
        under = result.get(name)
        if isinstance(value, dict) and isinstance(under, dict):
            result[name] = merged(under, value)
        else:
            result[name] = value
    return result


def _part(match: re.Match[str]) -> str:
    if (basic := match["basic"]) is not None:
        found: str = tomllib.loads(f"part = {basic}")["part"]
        return found
    bare, literal = match["bare"], match["literal"]
    return literal if bare is None else bare


def _quoted(name: str) -> str:
    # JSON's escapes are TOML's too, but for the one control character that JSON leaves alone.
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007F")
