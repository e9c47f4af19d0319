"""How much a log line matters."""

from typing import Final, Literal

LogLevel = Literal["trace", "debug", "info", "warn", "error"]

RANKS: Final[dict[LogLevel, int]] = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "error": 40}
"""The levels in their order, as numbers that the standard library's logging understands."""
