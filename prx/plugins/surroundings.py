"""What a guest finds around itself through WASI: the directories and variables that it was granted, nothing else."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from wasmtime import WasiConfig

from prx.plugins.directories import Directory


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Fixed for the life of an instance: other grants take another instance."""

    directories: tuple[Directory, ...] = ()
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Names and values; the values may be secrets."""

    def furnish(self, config: WasiConfig) -> None:
        """Put everything into `config`, each directory under the path that the manifest names.

        Raises:
            OSError: a directory is not where it was when the plugin was loaded.
            WasmtimeError: the engine cannot open one.
        """
        if self.variables:
            config.env = self.variables
        for directory in self.directories:
            with directory.opened() as path:
                config.preopen_dir(path, str(directory.asked.path), directory.asked.writable)


NOTHING_AROUND: Final = Surroundings()


def values_of(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return those of `names` that are set in the daemon's environment, with their values; WASI passes UTF-8 only."""
    found = ((name, os.environ.get(name)) for name in names)
    return tuple((name, value) for name, value in found if value is not None and _is_utf8(value))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
