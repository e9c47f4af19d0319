"""The types that the configuration's tables are made of."""

import base64
import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo
from pydantic_core import PydanticUndefined

from prx.config.echo import echo

FROM_ENVIRONMENT = "env:"
_SECRET_NAMES = frozenset(
    {
        "api_key",
        "token",
        "secret",
        "password",
        "private_key",
        "access_key",
        "credential",
        "connection_string",
    }
)
# 32 bytes in the one canonical form of base64, so that keys can be compared as text.
_PUBLIC_KEY = re.compile(r"ed25519:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", re.ASCII)
# The points of small order, such as a placeholder of zeros, without the bit for their sign: everybody knows a signature
# that these accept.
_WEAK_KEYS = frozenset(
    {
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    }
)
_VARIABLE = re.compile(r"[A-Z_][A-Z_0-9]{0,63}", re.ASCII)
_SECRET_ENDINGS = ("_api_key", "_token", "_secret", "_password", "_key")


class Table(BaseModel):
    """A table whose keys are all declared: an unknown one is an error, and no value changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def hot(description: str, default: Any = PydanticUndefined, **constraints: Any) -> Any:
    """Declare a key whose new value takes effect while the daemon runs."""
    return Field(default, description=description, json_schema_extra={"reload": "hot"}, **constraints)


def restart(description: str, default: Any = PydanticUndefined, **constraints: Any) -> Any:
    """Declare a key whose new value takes effect when the daemon starts again."""
    return Field(default, description=description, json_schema_extra={"reload": "restart"}, **constraints)


def is_secret_key(name: str) -> bool:
    """Tell whether a key of this name holds a secret, to be masked wherever it is shown; `X-API-Key` is one, too."""
    name = name.lower().replace("-", "_")
    return name in _SECRET_NAMES or name.endswith(_SECRET_ENDINGS)


def from_environment(value: Any) -> Any:
    """Replace `env:NAME` by what the environment holds.

    Raises:
        ValueError: it holds no such variable.
    """
    if not isinstance(value, str) or not value.startswith(FROM_ENVIRONMENT):
        return value
    name = value.removeprefix(FROM_ENVIRONMENT)
    if name not in os.environ:
        # A secret that was pasted behind "env:" is not repeated.
        shown = name if _VARIABLE.fullmatch(name) else f"of that name ({echo(name)})"
        raise ValueError(f"the environment variable {shown} is not set")
    return os.environ[name]


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches `host`. A name other than localhost counts as public."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _absolute(path: Path, info: ValidationInfo) -> Path:
    base: Path = (info.context or {}).get("base") or Path.cwd()
    if "\0" in str(path):
        raise ValueError("a path has no NUL character")
    try:
        return base / path.expanduser()
    except RuntimeError as error:
        raise ValueError("nobody of that name has a home directory here") from error


def _name(text: str) -> str:
    if text in ("", ".", ".."):
        raise ValueError(f'"{text}" is no name: no address of the API could lead to it')
    return text


def _public_key(text: str) -> str:
    if not _PUBLIC_KEY.fullmatch(text):
        raise ValueError(
            'this is no public key: one is "ed25519:" and 44 characters of base64, as `prx plugin keygen` prints it'
        )
    point = base64.b64decode(text.removeprefix("ed25519:"))
    if (point[:-1] + bytes([point[-1] & 0x7F])).hex() in _WEAK_KEYS:
        raise ValueError(
            f'"{text}" is a key that anybody can sign with: use one that `prx plugin keygen` made'
        )
    return text


Secret = Annotated[SecretStr, BeforeValidator(from_environment)]
"""A value that no repr and no dump shows; `env:NAME` reads the environment."""

AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
"""A path; a relative one is taken from the `base` of the validation context, `~` is the user's home."""

Name = Annotated[str, AfterValidator(_name)]
"""The name of a table that is the operator's to choose, and that stands in paths of the API."""

PublicKey = Annotated[str, AfterValidator(_public_key)]
"""An Ed25519 key that signatures are verified with."""
