"""The documents' commands do what the documents say, against a real daemon."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.e2e.documented_session import missing_tools, session
from tests.unit.docs.documents import DOCS, ROOT, Block, blocks

SAMPLES = ROOT / "plugins"


def install(samples: list[str], home: Path) -> None:
    """Put built samples where the reader of a document has them."""
    for name in samples:
        if not (SAMPLES / name / "plugin.wasm").exists():
            pytest.skip(f"the sample {name} is not built: make -C plugins")
        shutil.copytree(SAMPLES / name, home / "plugins" / name)


def follow(found: list[Block], home: Path) -> None:
    """Run a document's blocks; those that need a tool which is missing are left out, and the test says so."""
    missing = missing_tools(found)
    kept = [block for block in found if not any(f"needs={tool}" in block.marks for tool in missing)]
    with session(home) as reader:
        reader.follow(kept)
    if missing:
        pytest.skip(f"all but the parts that need {', '.join(missing)}: pip install '.[build-kit]'")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    if shutil.which("curl") is None:
        pytest.skip("the documents call the API with curl, which is not installed")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.slow
def test_the_tour_of_the_readme_shows_what_it_says(home: Path) -> None:
    install(["check-digits", "notes", "relay", "text-tools"], home)
    shutil.copy(ROOT / "prx.toml", home)
    (home / ".venv").symlink_to(sys.prefix)
    follow(blocks((ROOT / "README.md").read_text()), home)


@pytest.mark.slow
def test_the_tutorial_for_plugin_authors_works_as_written(home: Path) -> None:
    follow(blocks((DOCS / "plugins.md").read_text()), home)


def test_the_answers_of_the_api_are_as_documented(home: Path) -> None:
    install(["check-digits"], home)
    (home / "prx.toml").write_text('[daemon]\ndata_dir = "data"\n')
    follow(blocks((DOCS / "api.md").read_text()), home)
