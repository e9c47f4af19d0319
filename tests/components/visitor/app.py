"""A guest that looks around, touches what it finds and says what it was told: built by `tests.support.visitor`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from componentize_py_types import Err
from wit_world import exports

count = 0


def telling(function: Callable[..., Any]) -> Callable[..., Any]:
    def told(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except OSError as error:
            raise Err(f"{type(error).__name__}: {error}") from error

    return told


class Visits(exports.Visits):
    @telling
    def names(self, path: str) -> list[str]:
        return sorted(os.listdir(path))  # noqa: PTH208  # what a guest's author would write

    @telling
    def read(self, path: str) -> str:
        return Path(path).read_text()

    @telling
    def write(self, path: str, text: str) -> None:
        Path(path).write_text(text)

    @telling
    def link(self, target: str, path: str) -> None:
        Path(path).symlink_to(target)

    @telling
    def remove(self, path: str) -> None:
        Path(path).unlink()

    def variables(self) -> list[tuple[str, str]]:
        return sorted(os.environ.items())

    def visits(self) -> int:
        global count  # noqa: PLW0603  # what a warm instance keeps
        count += 1
        return count
