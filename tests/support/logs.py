"""What the daemon's own log would say."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prx.core.levels import LogLevel
from prx.runtime.logging import LogOutput


class Lines:
    """The log of a block, to be read once it has ended."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def events(self, module: str = "") -> list[dict[str, Any]]:
        """Return the lines of the modules that begin with `module`."""
        found = [json.loads(line) for line in self._path.read_text().splitlines()]
        return [event for event in found if event["module"].startswith(module)]

    def messages(self, module: str = "") -> list[str]:
        """Return what these lines say."""
        return [event["message"] for event in self.events(module)]


@contextmanager
def logged(directory: Path, level: LogLevel = "trace") -> Iterator[Lines]:
    """Send the log of a block to a file in `directory`."""
    path = directory / "log.jsonl"
    with path.open("wb") as file:
        output = LogOutput(level, "json", file.fileno())
        try:
            yield Lines(path)
        finally:
            output.close()
