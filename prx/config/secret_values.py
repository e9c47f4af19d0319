"""The secrets that a configuration holds, for those who must not let them out."""

from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr

from prx.config.types import Table, is_secret_key


def secret_values(table: Table) -> Iterator[str]:
    """Yield every secret in `table`: what is declared as one, and what stands under the name of one."""
    return _found("", table.model_dump())


def _found(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _found(str(key), inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _found(name, inner)
    elif isinstance(value, SecretStr):
        yield from _spelled(value.get_secret_value())
    elif isinstance(value, str) and is_secret_key(name):
        yield from _spelled(value)


def _spelled(secret: str) -> Iterator[str]:
    yield secret
    scheme, space, rest = secret.partition(" ")
    if space and scheme.lower() in ("bearer", "basic", "token"):
        yield rest.strip()
