"""What the command line says of one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prx.config.toml import Layer


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of `prx daemon`."""

    config: Path | None = None
    flags: Sequence[Layer] = ()
    """What flags set over the configuration."""
    gateway: bool = True
    channels: bool = True
    cron: bool = True
    pid_file: Path | None = None
