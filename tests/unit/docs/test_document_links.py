"""Links lead somewhere: between the documents, and from error messages into them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.documents import DOCS, ROOT, anchors, documents, links

_POINTER = re.compile(r"docs/[\w/-]+\.md(?:#[\w-]+)?")


def resolves(target: str, origin: Path) -> bool:
    """Tell whether a link of the document `origin` leads to a file and, where it names one, a heading of it."""
    name, _, anchor = target.partition("#")
    path = origin if not name else (origin.parent / name)
    if not path.exists():
        return False
    return not anchor or anchor in anchors(path.read_text())


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_and_anchor_resolves(path: Path) -> None:
    relative = [target for target in links(path.read_text()) if "://" not in target]
    assert [target for target in relative if not resolves(target, path)] == []


def test_every_pointer_in_a_message_leads_to_a_heading() -> None:
    found = dict(pointers())
    assert len(found) > 2
    assert {
        pointer: where for pointer, where in found.items() if not resolves(pointer, ROOT / "README.md")
    } == {}


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        path = ahead.pop()
        reached.add(path)
        targets = (
            path.parent / target.partition("#")[0]
            for target in links(path.read_text())
            if "://" not in target
        )
        ahead += [
            found
            for target in targets
            if (found := target.resolve()).suffix == ".md" and found not in reached
        ]
    assert sorted(set(DOCS.rglob("*.md")) - reached) == []


def pointers() -> Iterator[tuple[str, str]]:
    """Yield what messages in the source say to read, and where."""
    for path in sorted((ROOT / "prx").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for pointer in _POINTER.findall(node.value):
                    yield pointer, f"{path.relative_to(ROOT)}:{node.lineno}"
