"""What looks back at a run of all tests, and what it lets pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import prx.plugins
from tests.support.every_refusal import BEYOND_TESTS
from tests.support.refusals import refusals

_CONFTEST = """
import package
from tests.support.every_refusal import EveryRefusal
from tests.support.refusals import record

record()

def pytest_configure(config):
    config.pluginmanager.register(EveryRefusal(package, {"'three'": "no test can"}))
"""
_PACKAGE = """
from prx.core.errors import PrxError

def one():
    return PrxError("one")

def two():
    return PrxError("two")

def three():
    return PrxError("three")
"""
_TESTS = """
import package

def test_one():
    package.one()

def test_two():
    package.two()
"""


def test_every_exception_is_still_in_the_source() -> None:
    texts = [place.text for place in refusals(prx.plugins)]
    assert len(texts) > 100
    assert [text for text in BEYOND_TESTS if not any(text in found for found in texts)] == []


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two tests, and a package with three refusals."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\npythonpath = .\n")
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    for directory, file, content in (
        ("package", "__init__.py", _PACKAGE), ("tests", "test_package.py", _TESTS)
    ):  # fmt: skip
        (tmp_path / directory).mkdir()
        (tmp_path / directory / file).write_text(content)
    return tmp_path


def run(project: Path, *options: str) -> tuple[int, str]:
    """Run the tests of `project`, in processes of their own; return how that ends and what it says."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist.plugin", *options], cwd=project,
        env=outside | {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "true"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


in_one_and_in_several_processes = pytest.mark.parametrize("processes", ["0", "2"])


@in_one_and_in_several_processes
def test_a_run_in_which_tests_reach_every_refusal_passes(project: Path, processes: str) -> None:
    code, told = run(project, "-n", processes)
    assert code == pytest.ExitCode.OK, told


@in_one_and_in_several_processes
def test_a_run_in_which_no_test_reaches_a_refusal_fails(project: Path, processes: str) -> None:
    (project / "tests/test_package.py").write_text(_TESTS.replace("package.two()", "pass"))
    code, told = run(project, "-n", processes)
    assert (code, "2 passed" in told) == (pytest.ExitCode.TESTS_FAILED, True), told
    assert f"{project}/package/__init__.py:8: PrxError('two')\n" in told
    assert "'one'" not in told


@in_one_and_in_several_processes
def test_a_run_of_some_tests_need_not_reach_every_refusal(project: Path, processes: str) -> None:
    for chosen in (["-k", "one"], ["tests/test_package.py::test_one"]):
        code, told = run(project, "-n", processes, *chosen)
        assert code == pytest.ExitCode.OK, told


def test_a_worker_that_does_not_tell_what_it_reached_fails_the_run(project: Path) -> None:
    """One that crashes in a test fails that; this one does when all are done."""
    (project / "tests/conftest.py").write_text(
        "import os\n"
        "def pytest_sessionfinish():\n"
        "    os.environ.get('PYTEST_XDIST_WORKER') == 'gw1' and os._exit(1)\n"
    )
    code, told = run(project, "-n", "2")
    assert code == pytest.ExitCode.TESTS_FAILED, told
    assert "not known: gw1 ended before it told what it reached" in told
