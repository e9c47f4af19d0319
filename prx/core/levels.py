"""How much a log line matters."""

from typing import Literal

LogLevel = Literal["trace", "debug", "info", "warn", "error"]
