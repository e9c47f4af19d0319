"""What a check finds, and what it looks at."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prx.config.layers import Layers
from prx.config.schema import Config

Level = Literal["problem", "advice"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    what: str
    """What is wrong, with the file, key, plugin or program that it is about."""
    why: str
    """Why it matters."""
    action: str
    """What to do."""
    level: Level = "problem"
    """`advice` harms nothing yet, and does not count as wrong."""
    mend: Callable[[], str] | None = None
    """Puts it right without a risk, and says what it did; raises OSError or PrxError where it cannot."""


@dataclass(frozen=True, slots=True)
class Site:
    """One installation: a configuration, what it leads to, and the daemon that runs with it, if one does."""

    layers: Layers
    """The configuration as it is written."""
    config: Config
    """What it makes; where it is wrong, the defaults with its data directory."""
    pid: str | None
    """The daemon's process id; None when none runs."""
    ask: Callable[[str], Any] | None
    """Gets a path from the daemon; None when none can be asked."""

    @property
    def data_dir(self) -> Path:
        """The data directory, which need not exist."""
        return self.config.daemon.data_dir

    @property
    def readable(self) -> bool:
        """Whether this user can look into the data directory."""
        return os.access(self.data_dir, os.R_OK | os.X_OK)


Check = Callable[[Site], Iterable[Finding]]
