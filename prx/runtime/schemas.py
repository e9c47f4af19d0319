"""JSON Schemas that come from guests and servers: how much work they can make of one small value."""

from collections.abc import Mapping
from typing import Any

_ANCHORS = ("$anchor", "$dynamicAnchor")
_REFERENCES = ("$ref", "$dynamicRef")


def expanded_size(schema: Mapping[str, Any]) -> int:
    """Return how many subschemas there are once each reference is replaced by what it points at.

    Two references in each of thirty definitions to the next one make a billion: checking one value against that
    never ends. A reference back into itself counts once, as it is only followed as deep as the value goes.

    Raises:
        ValueError: a reference leads out of the schema, or definitions are nested too deeply to count.
    """
    try:
        return _Expansion(schema).size(schema, schema)
    except RecursionError:
        raise ValueError("its definitions are nested too deeply") from None


class _Expansion:
    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._sizes: dict[int, int] = {}
        self._anchors: dict[str, list[Any]] = {}
        self._collect_anchors(schema)

    def _collect_anchors(self, node: Any) -> None:
        if isinstance(node, Mapping):
            for keyword in _ANCHORS:
                self._anchors.setdefault(str(node.get(keyword)), []).append(node)
        for child in _children(node):
            self._collect_anchors(child)

    def size(self, node: Any, base: Any) -> int:
        if not isinstance(node, Mapping):
            return sum(self.size(child, base) for child in _children(node))
        known = self._sizes.get(id(node))
        if known is not None:
            return known
        self._sizes[id(node)] = 1
        if "$id" in node:
            base = node
        targets = [target for keyword in _REFERENCES for target in self._targets(node.get(keyword), base)]
        size = 1 + sum(self.size(child, base) for child in (*_children(node), *targets))
        self._sizes[id(node)] = size
        return size

    def _targets(self, reference: Any, base: Any) -> list[Any]:
        if not isinstance(reference, str):
            return []
        if not reference.startswith("#"):
            raise ValueError(f"reference to {reference}: only references inside the schema are followed")
        pointer = reference[1:]
        return (
            [_at(pointer, base)] if not pointer or pointer.startswith("/") else self._anchors.get(pointer, [])
        )


def _children(node: Any) -> list[Any]:
    if isinstance(node, Mapping):
        return list(node.values())
    return node if isinstance(node, list) else []


def _at(pointer: str, node: Any) -> Any:
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping):
            node = node.get(key)
        elif isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        else:
            return None
    return node
