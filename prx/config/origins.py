"""Where each value of a configuration comes from, for people who wonder why it is what it is."""

from typing import Any, Final

from prx.config.keys import Key, dotted, holds, leaves
from prx.config.layers import Layers
from prx.config.redaction import shown
from prx.config.schema import Config
from prx.config.toml import Layer, statements

DEFAULT: Final = "default"


def origins(layers: Layers, loaded: Config, running: Config) -> dict[str, dict[str, Any]]:
    """Return each key of `running` and of `loaded`, which `layers` make, with `value` and `origin`; secrets masked.

    Where they apply: `hides`, where earlier layers set the key, too, and `after_restart`, the value that waits.
    """
    now, then = dict(leaves(shown(running))), dict(leaves(shown(loaded)))
    lines = {layer.origin: _lines(layer) for layer in layers.all}
    found: dict[str, dict[str, Any]] = {}
    for key in dict.fromkeys([*now, *then]):
        setting = [layer for layer in layers.all if holds(layer.tree, key)]
        places = [_place(layer, lines[layer.origin].get(key)) for layer in setting]
        row = {"value": now.get(key), "origin": places.pop() if places else DEFAULT}
        if places:
            row["hides"] = places
        if now.get(key) != then.get(key):
            row["after_restart"] = then.get(key)
        found[dotted(key)] = row
    return found


def _place(layer: Layer, line: int | None) -> str:
    return layer.origin if line is None else f"{layer.origin}:{line}"


def _lines(layer: Layer) -> dict[Key, int]:
    """Return the first line that sets each key."""
    found: dict[Key, int] = {}
    for line, tree in statements(layer.text or ""):
        for key, _ in leaves(tree):
            found.setdefault(key, line)
    return found
