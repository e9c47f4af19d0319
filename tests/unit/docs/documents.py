"""The project's documents as data: headings, links, tables and code blocks of their Markdown."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
DOCS: Final = ROOT / "docs"

_FENCED: Final = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^(?P<marks>#{1,6}) (?P<title>.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\[[^\]\[]*\]\((?P<target>[^()\s]+)\)")
_CODE: Final = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block: its language, the words behind that, its text, and where it begins."""

    language: str
    marks: tuple[str, ...]
    text: str
    line: int


def documents() -> list[Path]:
    """Return every Markdown file that belongs to the project."""
    above = [path for pattern in ("*.md", "plugins/*/*.md", "benchmarks/*.md") for path in ROOT.glob(pattern)]
    return sorted([*above, *DOCS.rglob("*.md")])


def blocks(text: str) -> list[Block]:
    """Return the fenced code blocks in their order."""
    found = []
    for match in _FENCED.finditer(text):
        language, *marks = match["info"].split() or [""]
        found.append(Block(language, tuple(marks), match["text"], text.count("\n", 0, match.start()) + 1))
    return found


def prose(text: str) -> str:
    """Return the text without its fenced code blocks."""
    return _FENCED.sub("", text)


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings, as the usual forges make them."""
    seen: Counter[str] = Counter()
    found = set()
    for match in _HEADING.finditer(prose(text)):
        anchor = anchor_of(match["title"])
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def anchor_of(title: str) -> str:
    """Return the anchor of a heading that is the first with its title."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def links(text: str) -> list[str]:
    """Return the targets of the links outside of code."""
    return [match["target"] for match in _LINK.finditer(_CODE.sub("", prose(text)))]


def sections(text: str, level: int) -> dict[str, str]:
    """Return what stands under each heading of `level`, by its title; deeper headings are part of it."""
    found: dict[str, str] = {}
    title = None
    start = 0
    for match in [*_HEADING.finditer(text), None]:
        if match is not None and len(match["marks"]) > level:
            continue
        if title is not None:
            found[title] = text[start : None if match is None else match.start()]
        title = match["title"] if match is not None and len(match["marks"]) == level else None
        start = 0 if match is None else match.end()
    return found


def first_cells(text: str) -> list[str]:
    """Return the code in the first cell of each table row, such as the `key` of `| `key` | ... |`."""
    return [code for row in _rows(text) for code in _CODE.findall(row[0])]


def _rows(text: str) -> Iterator[list[str]]:
    for line in prose(text).splitlines():
        if line.startswith("|") and not line.startswith("| ---"):
            yield [cell.strip() for cell in line.strip("|").split("|")]
