"""The overlay: what the API and `prx config set` change, in a file of the daemon's own over the operator's files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import tomli_w

from prx.config.keys import Tree
from prx.config.toml import MAX_FILE_BYTES, Layer, parse
from prx.core.errors import ConfigError, PrxError
from prx.core.private_file import PrivateFile

_NAME: Final = "overlay.toml"
_HEADING: Final = (
    "# Written by PRX over prx.toml and prx.d. `prx config set` and `unset` change it, as does the API.\n"
)


class Overlay:
    """The overlay of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        """Stand for the file in `data_dir`; neither needs to exist yet."""
        self._file = PrivateFile(data_dir / _NAME, max_bytes=MAX_FILE_BYTES)

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._file.path

    def read(self) -> Layer:
        """Return its keys, none where there is no file.

        Raises:
            ConfigError: it cannot be read, is not TOML, or others may read it.
        """
        try:
            data = self._file.read()
        except PrxError as error:
            raise ConfigError(error.message) from error
        return Layer(str(self.path), {}) if data is None else parse(self.path, data)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out for the length of the block. Blocks.

        Raises:
            UnavailableError: another one holds it for seconds, or the directory cannot be written.
        """
        with self._file.locked():
            yield

    def layer(self, tree: Tree) -> Layer:
        """Return these keys as the file will hold them.

        Raises:
            ConfigError: no file that is read again could.
        """
        return parse(self.path, (_HEADING + tomli_w.dumps(tree)).encode())

    def write(self, layer: Layer) -> None:
        """Put what `layer` returned in place of what is there, on disk when this returns. Hold the lock.

        Raises:
            UnavailableError: it cannot be written.
        """
        self._file.replace((layer.text or "").encode())
