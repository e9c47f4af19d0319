"""The configuration files: who else may change or read them. What is in them is validated before any check."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prx.cli.doctor.findings import Finding, Site
from prx.config.inspection import annotation_at
from prx.config.keys import leaves
from prx.config.toml import Layer
from prx.config.types import FROM_ENVIRONMENT, is_secret_key

_WRITTEN_BY_ANYBODY: Final = 0o002
_READ_BY_ANYBODY: Final = 0o004


def configuration_files(site: Site) -> Iterator[Finding]:
    """Check that not everybody may change the files, nor read secrets in them."""
    for layer in site.layers.files:
        path = Path(layer.origin)
        mode = path.stat().st_mode
        if mode & _WRITTEN_BY_ANYBODY:
            yield Finding(
                f"everybody on this machine may change {path}",
                "what it says is what the daemon does: which plugins it trusts, and which programs it starts",
                f"chmod o-w {path}",
            )
        elif mode & _READ_BY_ANYBODY and (secret := _secret_in(layer)) is not None:
            yield Finding(
                f"everybody on this machine may read {path}, and {secret} is a secret in it",
                "who knows it can use it as the daemon does",
                f'chmod o-r {path}, or name a variable of the environment instead: "{FROM_ENVIRONMENT}NAME"',
                "advice",
            )


def _secret_in(layer: Layer) -> str | None:
    for key, value in leaves(layer.tree):
        name = str(key[-1])
        is_secret = is_secret_key(name) and annotation_at(key) is not Path
        if is_secret and isinstance(value, str) and not value.startswith(FROM_ENVIRONMENT):
            return name
    return None
