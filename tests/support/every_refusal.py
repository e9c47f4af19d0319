"""A plugin of pytest that fails a run of all tests where one of the host's refusals was reached by none.

A run is in one process or, with pytest-xdist, in several: then each worker hands over what it reached, and the
process that controls them looks back.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

import prx.plugins
from tests.support.refusals import reached, refusals

# What no test can bring about in this process, by a part of its text, and why.
BEYOND_TESTS = {
    "GuestError('host_error', ffi.take_error(": "the engine refuses what it never refuses",
    "f'no timer: ": "the engine refuses what it never refuses",
    "f'a handle cannot be made: ": "the engine refuses what it never refuses",
    "f'a handle cannot be read: ": "the engine refuses what it never refuses",
    "its compiled code was refused: ": "the engine refuses what it compiled a moment ago",
    "its compiler ended with status": "the kernel ends the compiler",
    "failed in the host')": "a fault of the host's own",
    "somebody removed the upload": "another process is quicker by a moment",
    "was removed while it was loaded": "another process is quicker by a moment",
    "was changed meanwhile: look at it": "another change is quicker by a moment",
    "something else is to run by now": "another change is quicker by a moment",
    "to which it was rolled back, is not kept any more": "another change is quicker by a moment",
    "not a plugin: give a .wasm or .prxplugin file": "told by the command line, in its own process",
    "its {world} calls itself": "needs a provider or a storage that is built for it",
}

_HANDED_OVER = "refusals_reached"


class EveryRefusal:
    """Looks back at a run."""

    def __init__(
        self, package: ModuleType = prx.plugins, beyond_tests: Mapping[str, str] = BEYOND_TESTS
    ) -> None:
        self._package = package
        self._beyond_tests = beyond_tests
        self._silent: list[str] = []
        self._faults: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker reached; one that crashed does not say."""
        output = getattr(node, "workeroutput", {})
        if _HANDED_OVER in output:
            reached.update(output[_HANDED_OVER])
        else:
            self._silent.append(f"not known: {node.gateway.id} ended before it told what it reached")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Hand over, or look back and fail the run."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_HANDED_OVER] = sorted(reached)
        elif _is_whole(session, exitstatus):
            self._faults = self._silent or self._unreached()
            if self._faults:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was not reached."""
        if self._faults:
            terminalreporter.section("refusals that no test reached", red=True)
            for fault in self._faults:
                terminalreporter.line(fault, red=True)
            terminalreporter.line("write a test, or a component or manifest for the corpus, that ends there")

    def _unreached(self) -> list[str]:
        return [
            str(place)
            for place in refusals(self._package)
            if not place.is_reached() and not any(text in place.text for text in self._beyond_tests)
        ]


def _is_whole(session: pytest.Session, exitstatus: int) -> bool:
    config = session.config
    chosen = config.option.markexpr or config.option.keyword or config.args != config.getini("testpaths")
    ended = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not session.shouldfail
    return ended and not chosen and not config.option.collectonly
