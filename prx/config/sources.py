"""Where the configuration is read from: which files there are, and whether they changed."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from platformdirs import user_config_path

from prx.config import toml
from prx.config.layers import Layers, from_environment
from prx.config.overlay import Overlay
from prx.config.schema import Config
from prx.config.toml import Layer
from prx.core.errors import ConfigError

_FILE_NAME: Final = "prx.toml"
_DROP_IN_DIRECTORY: Final = "prx.d"
_FILE_VARIABLE: Final = "PRX_CONFIG"

Stamp = tuple[tuple[str, int, int, int, int], ...]
"""What tells that a file changed: path, inode, size and times of each file that is there."""


class Loaded(NamedTuple):
    """One reading of everything: what was set where, and what it makes."""

    layers: Layers
    config: Config


class Sources:
    """The layers of one daemon, or of one command. Every method blocks on the file system."""

    def __init__(
        self, explicit: Path | None, flags: Sequence[Layer] = (), environment: Mapping[str, str] = os.environ
    ) -> None:
        """Read nothing yet.

        Args:
            explicit: the file given by `--config`.
            flags: what the command line sets, above everything else.
            environment: holds `PRX_CONFIG` and `PRX__TABLE__KEY`.
        """
        self._explicit = explicit
        self._flags = tuple(flags)
        self._environment = environment
        self._file: Path | None = None
        self._overlay: Overlay | None = None
        self._candidates: tuple[str, ...] | None = None
        self.seen: Stamp = ()
        """The files as they were just before they were last read."""

    def read(self) -> Layers:
        """Read every layer.

        Raises:
            ConfigError: a file cannot be read or is not TOML, or one that was in use is gone.
        """
        self.seen = self.stamp()
        file = self.find_file()
        if self._file is not None and not self._file.is_file():
            raise ConfigError(
                f"{self._file} is gone: put it back, or restart the daemon to have it run without"
            )
        self._file = file
        layers = self._under_overlay(file, map(toml.read, self.files()))
        if self._overlay is None:
            # It stays where it was found: a new data directory is used from the next start on, with what is in it.
            self._overlay = Overlay(layers.overlay_dir)
        return layers.with_overlay(self._overlay.read())

    def salvage(self) -> Layers:
        """Read every layer as far as it can be read: enough to find a daemon whose files are broken by now.

        Raises:
            ConfigError: a file that was asked for is not there.
        """
        file = self.find_file()
        try:
            files = self.files()
        except ConfigError:  # what lies beside it cannot be listed
            files = [] if file is None else [file]
        layers = self._under_overlay(file, map(toml.salvage, files))
        return layers.with_overlay(toml.salvage(Overlay(layers.overlay_dir).path))

    def load(self) -> Loaded:
        """Read every layer and validate what they make together.

        Raises:
            ConfigError: a file cannot be read, or a key or value is wrong.
        """
        layers = self.read()
        return Loaded(layers, layers.config())

    @property
    def overlay(self) -> Overlay:
        """Where changes are written; known once everything was read."""
        assert self._overlay is not None  # noqa: S101  # see above
        return self._overlay

    def find_file(self) -> Path | None:
        """Return the configuration file: `--config`, `PRX_CONFIG`, `./prx.toml`, the platform's, or None.

        Raises:
            ConfigError: a file that was asked for is not there.
        """
        asked = self._asked()
        if asked is not None:
            path, origin = asked
            if not path.is_file():
                raise ConfigError(f"{origin}: there is no file {path.absolute()}")
            return path.absolute()
        return next((path for path in _usual() if path.is_file()), None)

    def files(self) -> list[Path]:
        """Return the configuration file and the `prx.d/*.toml` beside it in name order.

        Raises:
            ConfigError: a file that was asked for is not there, or they cannot be listed.
        """
        file = self.find_file()
        if file is None:
            return []
        try:
            return [file, *map(Path, _drop_ins(str(file.parent)))]
        except OSError as error:
            raise ConfigError(f"cannot list {error.filename}: {error.strerror}") from error

    def stamp(self) -> Stamp:
        """Return the state of every file that counts, those that may yet appear included. Quick: it is asked often."""
        if self._candidates is None:
            asked = self._asked()
            self._candidates = tuple(map(str, _usual() if asked is None else asked[:1]))
        paths = list(self._candidates)
        if self._overlay is not None:
            paths.append(str(self._overlay.path))
        for file in self._candidates:
            with suppress(OSError):  # reading tells of it
                paths += _drop_ins(file.rpartition("/")[0] or ".")
        return tuple(_stamps(paths))

    def _under_overlay(self, file: Path | None, files: Iterable[Layer]) -> Layers:
        return Layers(
            base=Path.cwd() if file is None else file.parent,
            has_file=file is not None,
            files=tuple(files),
            overlay=Layer("", {}),
            above=(*from_environment(self._environment), *self._flags),
        )

    def _asked(self) -> tuple[Path, str] | None:
        if self._explicit is not None:
            return self._explicit, "--config"
        named = self._environment.get(_FILE_VARIABLE)
        return (Path(named), _FILE_VARIABLE) if named else None


def load(
    explicit: Path | None, flags: Sequence[Layer], environment: Mapping[str, str] = os.environ
) -> Config:
    """Return the configuration that a daemon started here would run with; see `Sources`.

    Raises:
        ConfigError: a file cannot be read, or a key or value is wrong.
    """
    return Sources(explicit, flags, environment).load().config


def _usual() -> tuple[Path, ...]:
    return Path.cwd() / _FILE_NAME, user_config_path("prx") / _FILE_NAME


def _drop_ins(directory: str) -> list[str]:
    """Return the `prx.d/*.toml` in `directory` in name order.

    Raises:
        OSError: there may be some, but they cannot be listed.
    """
    inside = f"{directory}/{_DROP_IN_DIRECTORY}"
    try:
        names = sorted(os.listdir(inside))  # noqa: PTH208  # as below
    except (FileNotFoundError, NotADirectoryError):
        return []
    # Editors keep files of their own beside the one that is edited, under names that begin with a dot.
    return [f"{inside}/{name}" for name in names if name.endswith(".toml") and not name.startswith(".")]


def _stamps(paths: Sequence[str]) -> Iterator[tuple[str, int, int, int, int]]:
    for path in paths:
        try:
            info = os.stat(path)  # noqa: PTH116  # a Path takes several times as long to make as this takes
        except OSError:
            continue
        yield path, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns
