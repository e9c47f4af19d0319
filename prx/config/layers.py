"""The layers of a configuration, laid over each other: files, overlay, environment, flags; the later wins."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from platformdirs import user_data_path
from pydantic import ValidationError

from prx.config.faults import explain
from prx.config.inspection import takes_text
from prx.config.keys import Key, Tree, at, holds, merged, parse_key
from prx.config.schema import Config
from prx.config.toml import Layer
from prx.config.types import is_secret_key
from prx.core.errors import ConfigError

_VALUE_PREFIX: Final = "PRX__"


@dataclass(frozen=True)
class Layers:
    """Everything that was set at one moment, and where relative paths start."""

    base: Path
    has_file: bool
    files: tuple[Layer, ...]
    overlay: Layer
    above: tuple[Layer, ...]
    """Environment and flags."""

    @property
    def all(self) -> tuple[Layer, ...]:
        """Every layer, the strongest last."""
        return (*self.files, self.overlay, *self.above)

    @cached_property
    def tree(self) -> Tree:
        """What they make together, as it is written: neither checked nor completed."""
        return _laid(self.all)

    @property
    def data_dir(self) -> Path:
        """The data directory, also where the rest is wrong."""
        return _data_dir(self.tree, self.base)

    @property
    def overlay_dir(self) -> Path:
        """Where the overlay lies: the data directory without what the overlay itself says of it."""
        return _data_dir(_laid((*self.files, *self.above)), self.base)

    def with_overlay(self, overlay: Layer) -> "Layers":
        """Return the same with another overlay."""
        return replace(self, overlay=overlay)

    def only(self, key: Key) -> "Layers":
        """Return what they say about `key`, for what is not to depend on the rest."""

        def narrowed(layer: Layer) -> Layer:
            tree = nested(key, at(layer.tree, key)) if holds(layer.tree, key) else {}
            return replace(layer, tree=tree)

        files, above = tuple(map(narrowed, self.files)), tuple(map(narrowed, self.above))
        return replace(self, files=files, overlay=narrowed(self.overlay), above=above)

    def config(self) -> Config:
        """Validate what they make together.

        Raises:
            ConfigError: a key or value is wrong; names each, where it was set, and what was expected.
        """
        try:
            return self.validated(self.all)
        except ValidationError as error:
            raise explain(error, self.all) from error
        except RecursionError:
            raise ConfigError("the configuration's values are nested too deeply") from None

    def validated(self, layers: Sequence[Layer]) -> Config:
        """Validate what some of the layers make together.

        Raises:
            ValidationError: a key or value is wrong.
        """
        tree = _laid(layers)
        if not self.has_file:
            tree = merged(_beside_data(_data_dir(tree, self.base)), tree)
        # An empty table is validated where an absent one would keep paths that no file is the base of.
        tree = {"plugins": {}, "skills": {}} | tree
        # From JSON, because strict there means what a configuration wants: "3120" is no port, [] is a tuple.
        return Config.model_validate_json(
            json.dumps(tree, default=str), strict=True, context={"base": self.base}
        )

    def hiding(self, key: Key, layer: Layer) -> Layer | None:
        """Return the strongest layer above `layer` that says something about `key`, if there is one."""
        all_layers = self.all
        above = all_layers[all_layers.index(layer) + 1 :]
        return next((upper for upper in reversed(above) if _touches(upper.tree, key)), None)


def setting(origin: str, key: str, value: Any) -> Layer:
    """Return the layer that sets the one dotted `key`, as a flag does."""
    return Layer(origin, nested(parse_key(key), value))


def nested(key: Key, value: Any) -> Tree:
    """Return the tree that has only `value`, at `key`."""
    for part in reversed(key):
        value = {part: value}
    tree: Tree = value
    return tree


def from_environment(environment: Mapping[str, str]) -> list[Layer]:
    """Return one layer for each `PRX__TABLE__KEY`. Text where the key takes text, otherwise a TOML value."""
    names = sorted(name for name in environment if name.startswith(_VALUE_PREFIX))
    return [_from_variable(name, environment[name]) for name in names]


def value_of(key: Key, text: str) -> Any:
    """Return the value that `text` stands for at `key`: itself where the key takes text, else as TOML reads it."""
    if takes_text(key) or is_secret_key(str(key[-1])):
        return text
    try:
        found = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return found["value"] if len(found) == 1 else text


def _from_variable(name: str, text: str) -> Layer:
    key = tuple(name.removeprefix(_VALUE_PREFIX).lower().split("__"))
    return Layer(name, nested(key, value_of(key, text)))


def _laid(layers: Sequence[Layer]) -> Tree:
    tree: Tree = {}
    for layer in layers:
        tree = merged(tree, layer.tree)
    return tree


def _touches(tree: Tree, key: Key) -> bool:
    """Tell whether `tree` sets `key`, something in it, or a value in place of a table around it."""
    for part in key:
        if not isinstance(tree, dict):
            return True
        if part not in tree:
            return False
        tree = tree[part]
    return True


def _data_dir(tree: Tree, base: Path) -> Path:
    daemon = tree.get("daemon")
    given = daemon.get("data_dir") if isinstance(daemon, dict) else None
    if not isinstance(given, str) or "\0" in given:
        return user_data_path("prx")
    try:
        return base / Path(given).expanduser()
    except RuntimeError:  # the home of nobody: validation says so
        return user_data_path("prx")


def _beside_data(data_dir: Path) -> Tree:
    """Return where plugins and skills lie when no file is there for relative paths to start from."""
    return {
        "plugins": {"directory": str(data_dir / "plugins")},
        "skills": {"directory": str(data_dir / "skills")},
    }
