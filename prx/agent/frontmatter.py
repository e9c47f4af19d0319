"""`SKILL.md`: YAML between two lines of `---`, then instructions in Markdown."""

import re
from typing import Final, NamedTuple

from prx.core.text import printable

_MAX_HEADER_CHARS: Final = 8 * 1024
# What the library takes grows with the square of the open ones: 1.5 s for 8 KiB of nothing else.
_MAX_BRACKETS: Final = 256
_MAX_TRIGGERS: Final = 32
_MAX_TRIGGER_CHARS: Final = 100
_MAX_DESCRIPTION_CHARS: Final = 1024
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FENCE: Final = "---"


class FrontmatterError(Exception):
    """The text is no skill; the message says what is wrong, where, and what is expected."""


class Frontmatter(NamedTuple):
    """What a skill says of itself."""

    name: str
    description: str
    triggers: tuple[str, ...]
    instructions: str
    """What stands behind the frontmatter."""


def parse_skill(content: bytes) -> Frontmatter:
    """Return what the frontmatter of a `SKILL.md` says. Keys of other programs are left alone.

    Raises:
        FrontmatterError: a part of it is missing or wrong.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FrontmatterError(f"line {line}: not UTF-8 text; save the file as UTF-8") from error
    fences = [number for number, line in enumerate(lines) if line.rstrip() == _FENCE][:2]
    if len(fences) < 2 or fences[0] != 0:  # noqa: PLR2004  # one before, one behind
        raise FrontmatterError(
            'it begins without frontmatter: expected "---", name, description and triggers, "---"'
        )
    instructions = "\n".join(lines[fences[1] + 1 :]).strip()
    if not instructions:
        raise FrontmatterError(
            'nothing stands behind the frontmatter: write the instructions below its "---"'
        )
    fields = _fields("\n".join(lines[1 : fences[1]]))
    return Frontmatter(_name(fields), _description(fields), _triggers(fields), instructions)


def _fields(header: str) -> dict[str, str | list[str] | None]:
    """Return the texts and lists of texts of a YAML mapping; None stands for every other value.

    Raises:
        FrontmatterError: it is no YAML, no mapping, or says something twice.
    """
    # 18 ms and 1.4 MB, for the thread that reads a skill rather than for every command.
    import yaml  # noqa: PLC0415

    if len(header) > _MAX_HEADER_CHARS:
        raise FrontmatterError(f"its frontmatter has more than {_MAX_HEADER_CHARS} characters: shorten it")
    if header.count("[") + header.count("{") > _MAX_BRACKETS:
        raise FrontmatterError(
            f'its frontmatter has more than {_MAX_BRACKETS} opening brackets: write lists with "-"'
        )
    try:
        # Nodes, not values: no text is taken for a number, a date or a truth, nothing is made of tags, and an alias
        # cannot multiply.
        root = yaml.compose(header, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        at = "" if error.problem_mark is None else f"line {error.problem_mark.line + 2}: "
        raise FrontmatterError(f"{at}no valid YAML: {printable(error.problem or error.context)}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise FrontmatterError("its frontmatter is no valid YAML, or nested too deeply") from error
    if not isinstance(root, yaml.MappingNode):
        raise FrontmatterError("its frontmatter is no mapping: expected name, description and triggers")
    fields: dict[str, str | list[str] | None] = {}
    for key, value in root.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value in fields:
            line = key.start_mark.line + 2
            raise FrontmatterError(f"line {line}: {printable(key.value)} is there twice: leave one")
        fields[key.value] = _texts(value)
    return fields


def _texts(node: object) -> str | list[str] | None:
    import yaml  # noqa: PLC0415  # as above

    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value):
        return [str(item.value) for item in node.value]
    return None


def _name(fields: dict[str, str | list[str] | None]) -> str:
    name = fields.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise FrontmatterError(
            'name: expected 1 to 64 letters, digits, "-" and "_", beginning with a letter or digit'
        )
    return name


def _description(fields: dict[str, str | list[str] | None]) -> str:
    text = fields.get("description")
    description = _one_line(text, _MAX_DESCRIPTION_CHARS) if isinstance(text, str) else None
    if description is None:
        raise FrontmatterError(
            f"description: expected a text of 1 to {_MAX_DESCRIPTION_CHARS} printable characters"
        )
    return description


def _triggers(fields: dict[str, str | list[str] | None]) -> tuple[str, ...]:
    texts = fields.get("triggers")
    found = [_one_line(text, _MAX_TRIGGER_CHARS) for text in texts] if isinstance(texts, list) else []
    triggers = tuple(text for text in found if text is not None)
    if not 0 < len(triggers) == len(found) <= _MAX_TRIGGERS:
        raise FrontmatterError(
            f"triggers: expected a list of 1 to {_MAX_TRIGGERS} texts of 1 to {_MAX_TRIGGER_CHARS} printable characters"
        )
    return triggers


def _one_line(text: str, most: int) -> str | None:
    """Return the text with its blanks and line breaks made single blanks; None if it cannot be shown."""
    line = " ".join(text.split())
    return line if 0 < len(line) <= most and line.isprintable() else None
