"""Where the configuration comes from: files, environment and flags over the defaults; the later wins."""

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_config_path
from pydantic import ValidationError

from prx.config.faults import explain
from prx.config.inspection import takes_text
from prx.config.schema import Config
from prx.config.types import is_secret_key
from prx.core.errors import ConfigError

Tree = dict[str, Any]

_FILE_NAME = "prx.toml"
_DROP_IN_DIRECTORY = "prx.d"
_FILE_VARIABLE = "PRX_CONFIG"
_VALUE_PREFIX = "PRX__"
_MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """Some keys and where they were set; `text` is the source they can be found in by line."""

    origin: str
    tree: Tree
    text: str | None = None


def setting(origin: str, key: str, value: Any) -> Layer:
    """Return the layer that sets the one dotted `key`, as a flag or an environment variable does."""
    tree: Any = value
    for part in reversed(key.split(".")):
        tree = {part: tree}
    return Layer(origin, tree)


def load(
    explicit: Path | None, flags: Sequence[Layer], environment: Mapping[str, str] = os.environ
) -> Config:
    """Read every layer and validate what they make together. Blocks on the file system.

    Args:
        explicit: the file given by `--config`.
        flags: what the command line sets, above everything else.
        environment: holds `PRX_CONFIG` and `PRX__TABLE__KEY`.

    Raises:
        ConfigError: a file cannot be read, or a key or value is wrong.
    """
    file = find_file(explicit, environment)
    layers = [*read_files(file), *read_environment(environment), *flags]
    tree: Tree = {}
    for layer in layers:
        tree = _merged(tree, layer.tree)
    if file is None:
        tree = _merged(_beside_data(tree), tree)
    base = Path.cwd() if file is None else file.parent
    # An empty table is validated where an absent one would keep paths that no file is the base of.
    tree = {"plugins": {}, "skills": {}} | tree
    try:
        # From JSON, because strict there means what a configuration wants: "3120" is no port, [] is a tuple.
        return Config.model_validate_json(
            json.dumps(tree, default=str), strict=True, context={"base": base.absolute()}
        )
    except ValidationError as error:
        raise explain(error, layers) from error


def find_file(explicit: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the configuration file: `--config`, `PRX_CONFIG`, `./prx.toml`, the platform's, or None.

    Raises:
        ConfigError: a file that was asked for is not there.
    """
    named = environment.get(_FILE_VARIABLE)
    for path, origin in ((explicit, "--config"), (Path(named) if named else None, _FILE_VARIABLE)):
        if path is not None:
            if not path.is_file():
                raise ConfigError(f"{origin}: there is no file {path.absolute()}")
            return path.absolute()
    candidates = (Path.cwd() / _FILE_NAME, user_config_path("prx") / _FILE_NAME)
    return next((path for path in candidates if path.is_file()), None)


def read_files(file: Path | None) -> list[Layer]:
    """Read `file` and the `prx.d/*.toml` beside it in name order.

    Raises:
        ConfigError: one of them is unreadable, too large or not TOML.
    """
    if file is None:
        return []
    drop_ins = sorted((file.parent / _DROP_IN_DIRECTORY).glob("*.toml"))
    return [_read_toml(path) for path in (file, *drop_ins)]


def read_environment(environment: Mapping[str, str]) -> list[Layer]:
    """Return one layer for each `PRX__TABLE__KEY`. Text where the key takes text, otherwise a TOML value."""
    names = sorted(name for name in environment if name.startswith(_VALUE_PREFIX))
    return [_from_variable(name, environment[name]) for name in names]


def _from_variable(name: str, text: str) -> Layer:
    key = name.removeprefix(_VALUE_PREFIX).lower().split("__")
    value: Any = text
    if not takes_text(key) and not is_secret_key(key[-1]):
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
    return setting(name, ".".join(key), value)


def _read_toml(path: Path) -> Layer:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
        text = data.decode()
        tree = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    if len(data) > _MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {_MAX_FILE_BYTES >> 20} MiB, which no configuration is")
    return Layer(str(path), tree, text)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Tree:
    """Lay one tree over the other: tables merge, any other value replaces."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both_tables = isinstance(value, dict) and isinstance(under, dict)
        merged[key] = _merged(under, value) if both_tables else value  # type: ignore[arg-type]  # both are dicts
    return merged


def _beside_data(tree: Tree) -> Tree:
    """Return where plugins and skills lie when no file is there for relative paths to start from."""
    daemon = tree.get("daemon")
    given = daemon.get("data_dir") if isinstance(daemon, dict) else None
    data_dir = Config().daemon.data_dir if not isinstance(given, str) else Path(given)
    return {
        "plugins": {"directory": str(data_dir / "plugins")},
        "skills": {"directory": str(data_dir / "skills")},
    }
