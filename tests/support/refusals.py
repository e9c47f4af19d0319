"""Where the code refuses something, and which of these places a run of the tests has reached."""

import ast
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from prx.core.errors import PrxError
from prx.plugins.calls import GuestError

_ROOTS: tuple[type[Exception], ...] = (PrxError, GuestError)
reached: set[tuple[str, int]] = set()
"""File and line of each error that was made since `record`."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One place in the source that makes an error."""

    path: Path
    first: int
    last: int
    text: str

    def is_reached(self) -> bool:
        """Tell whether an error was made here."""
        return any((str(self.path), line) in reached for line in range(self.first, self.last + 1))

    def __str__(self) -> str:
        """Name it as a compiler would."""
        return f"{self.path}:{self.first}: {self.text}"


def record() -> None:
    """Note from now on where errors are made."""
    for root in _ROOTS:
        root.__init__ = _noting(root.__init__)  # type: ignore[method-assign]  # for the length of the process


def _noting(init: Any) -> Any:
    def __init__(self: Exception, *arguments: Any, **options: Any) -> None:  # noqa: N807  # it takes its place
        frame = sys._getframe(1)
        # Out of the constructors of classes that are derived from it.
        while frame.f_back is not None and frame.f_locals.get("self") is self:
            frame = frame.f_back
        reached.add((frame.f_code.co_filename, frame.f_lineno))
        init(self, *arguments, **options)

    return __init__


def refusals(package: ModuleType) -> Iterator[Refusal]:
    """Yield every place in `package` that makes one of the errors."""
    # A process that ran no test knows few classes yet.
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    names = {cls.__name__ for root in _ROOTS for cls in _family(root)}
    for path in sorted(Path(package.__path__[0]).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                yield Refusal(path, node.lineno, node.end_lineno or node.lineno, ast.unparse(node)[:160])


def _family(cls: type[Exception]) -> Iterator[type[Exception]]:
    yield cls
    for derived in cls.__subclasses__():
        yield from _family(derived)
