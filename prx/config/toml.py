"""Layers that are TOML: parsed, and searched for the line of a key."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prx.config.keys import Key, Tree, holds, merged
from prx.core.errors import ConfigError

MAX_FILE_BYTES: Final = 1 << 20
# Each line more of one statement is parsed with all before it.
_MAX_STATEMENT_LINES: Final = 1000


@dataclass(frozen=True, slots=True)
class Layer:
    """Some keys and where they were set."""

    origin: str
    """A file's path, a variable's or a flag's name."""
    tree: Tree
    text: str | None = None
    """The TOML that the keys were read from, if it was TOML."""

    def place(self, key: Key) -> str:
        """Return `<file>:<line>` of `key`, or the origin where there is no line to tell."""
        line = None if self.text is None else line_of(key, self.text)
        return self.origin if line is None else f"{self.origin}:{line}"


def read(path: Path) -> Layer:
    """Read one file.

    Raises:
        ConfigError: it is unreadable, too large or not TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    return parse(path, data)


def parse(path: Path, data: bytes) -> Layer:
    """Parse what was read from `path`.

    Raises:
        ConfigError: it is too large or not TOML.
    """
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB, which no configuration is")
    try:
        text = data.decode()
        return Layer(str(path), tomllib.loads(text), text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text; save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except RecursionError:
        raise ConfigError(f"{path}: its values are nested too deeply") from None


def salvage(path: Path) -> Layer:
    """Return what those lines of a file say that are TOML by themselves; one that cannot be read says nothing."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES).decode(errors="replace")
    except OSError:
        text = ""
    tree: Tree = {}
    header: str | None = ""
    for line in text.splitlines():
        is_header = line.lstrip().startswith("[")
        try:
            found = tomllib.loads(line if is_header or not header else f"{header}\n{line}")
        except (tomllib.TOMLDecodeError, RecursionError):
            header = None if is_header else header
            continue
        if is_header:
            header = line
        elif header is not None:  # else nobody knows which table it is in
            tree = merged(tree, found)
    return Layer(str(path), tree)


def line_of(key: Key, text: str) -> int | None:
    """Return the line of valid TOML `text` on which the statement begins that sets `key`, counted from 1."""
    return next((line for line, tree in statements(text) if holds(tree, key)), None)


def statements(text: str) -> Iterator[tuple[int, Tree]]:
    """Yield each statement of valid TOML: its first line, counted from 1, and what it sets.

    It ends at a statement of more than a thousand lines.
    """
    tables = ""  # the headers that the next statement stands under
    start, statement = 1, ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        statement += line
        try:
            tree = tomllib.loads(tables + statement)
        except tomllib.TOMLDecodeError:
            if number - start < _MAX_STATEMENT_LINES:
                continue  # a value that goes on over the next line
            return
        if statement.lstrip().startswith("["):
            tables = _headers(tables) + statement
        yield start, tree
        start, statement = number + 1, ""


def _headers(tables: str) -> str:
    """Return what must stand above the next header: the elements of arrays, which have positions."""
    return "".join(line for line in tables.splitlines(keepends=True) if line.lstrip().startswith("[["))
