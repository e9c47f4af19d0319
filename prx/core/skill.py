"""Skills: instructions that messages can bring into a turn, and the places that they come from."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

SKILL_FILE: Final = "SKILL.md"
"""The file in a skill's directory that is the skill."""
MAX_SKILLS: Final = 256
"""Of all sources together."""
MAX_SKILL_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Skill:
    """What is known of a skill before it is used."""

    name: str
    source: str
    """Who brings it: `builtin`, `workspace` or `plugin:<name>`."""
    description: str
    triggers: tuple[str, ...]
    """What a message begins with that brings the skill in."""


class SkillFile(NamedTuple):
    """One `SKILL.md`, as it was found."""

    path: str
    """Where it lies, in words fit for the operator."""
    content: bytes = b""
    fault: str | None = None
    """Why it could not be read; there is no content then."""


class SkillShelf(Protocol):
    """The skills of one source, as files. Equal shelves are the same place; the methods block."""

    @property
    def source(self) -> str:
        """See `Skill.source`."""

    def stamp(self) -> Hashable:
        """Return what changes when one of the files does. Quick: it is asked often."""

    def read(self) -> list[SkillFile]:
        """Read the files by name, `MAX_SKILLS` and one more at most: that one tells that there are too many."""
