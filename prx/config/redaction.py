"""What of a configuration may be shown: everything but secrets, wherever they hide."""

import re
from typing import Any, Final

from pydantic import SecretStr

from prx.config.keys import Tree
from prx.config.types import Table, is_secret_key

MASK: Final = "***REDACTED***"
# Up to the last "@" before the path, as a careless password may have one itself.
_USERINFO: Final = re.compile(r"//[^/?#\s]*@")


def shown(table: Table) -> Tree:
    """Return `table` as a tree of JSON values, with `MASK` in place of every secret that is set."""
    tree: Tree = _shown("", table.model_dump())
    return tree


def without_userinfo(text: str) -> str:
    """Return `text` with `MASK` in place of user and password of each URL in it."""
    return _USERINFO.sub(f"//{MASK}@", text)


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        # A table may be named like a secret: what is in it then still has names of its own.
        return {key: _shown(key, inner) for key, inner in value.items()}
    if value is None:
        return None
    if isinstance(value, SecretStr) or is_secret_key(name):
        return MASK
    if isinstance(value, list | tuple):
        return [_shown("", inner) for inner in value]
    if isinstance(value, bool | int | float):
        return value
    return without_userinfo(str(value))
