"""The configuration: what became of changes, and where values come from."""

from typing import Any, NotRequired

from prx.api.bodies import Answer
from prx.config.patch import Result


class PatchOutcome(Answer):
    """What became of each key that was sent."""

    updated: list[str]
    """The keys that were written."""
    reload_required: bool
    """Whether one of them only takes effect after a restart."""
    results: dict[str, Result]
    """Of each key: it acts now, it acts from the next start on, or a later layer hides it."""
    hidden: dict[str, str]
    """Of each hidden key the layer that hides it."""


class OriginRow(Answer):
    """One key's value, secrets masked, and the layer that it comes from."""

    value: Any
    origin: str
    """`default`, a file with its line, a variable or a flag."""
    hides: NotRequired[list[str]]
    """Earlier layers that set the key, too."""
    after_restart: NotRequired[Any]
    """A value that waits for a restart."""


class Origins(Answer):
    """Every key of the configuration."""

    keys: dict[str, OriginRow]
