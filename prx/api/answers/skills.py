"""Skills."""

from prx.api.bodies import Answer


class SkillRow(Answer):
    """A skill that can be used."""

    name: str
    source: str
    """Who brings it: `builtin`, `workspace` or `plugin:<name>`."""
    description: str
    triggers: list[str]
    """What a message begins with that asks for the skill."""


class SkillList(Answer):
    """Every skill that can be used now, by name."""

    skills: list[SkillRow]
