"""What of a configuration may be shown: everything but secrets, wherever they hide."""

import re
from typing import Any, Final

from pydantic import SecretStr

from prx.config.keys import Tree
from prx.config.types import Table, is_secret_key

MASK: Final = "***REDACTED***"
# Up to the last "@" before the path, as a careless password may have one itself.
_USERINFO: Final = re.compile(r"//[^/?#\s]*@")
_PARAMETER: Final = re.compile(r"([?&;])([^=&;?#\s]{1,64})=([^&;#\s\"']+)")
# What else parameters that hold a secret are called, and keys of the configuration that do not are, too.
_SECRET_PARAMETERS: Final = frozenset({"key", "apikey", "auth", "sig", "signature"})


def shown(table: Table) -> Tree:
    """Return `table` as a tree of JSON values, with `MASK` in place of every secret that is set."""
    tree: Tree = _shown("", table.model_dump())
    return tree


def without_userinfo(text: str) -> str:
    """Return `text` with `MASK` in place of user and password of each URL in it."""
    return _USERINFO.sub(f"//{MASK}@", text)


def without_credentials(text: str) -> str:
    """Return `text` as `without_userinfo` does, with `MASK` also for parameters in URLs that are named as secrets."""
    text = without_userinfo(text)
    return _PARAMETER.sub(_masked_parameter, text) if "=" in text else text


def _masked_parameter(found: re.Match[str]) -> str:
    mark, name, value = found.groups()
    return f"{mark}{name}={MASK if is_secret_key(name) or name.lower() in _SECRET_PARAMETERS else value}"


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
    return without_credentials(str(value))
