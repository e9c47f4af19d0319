"""What holds for all tests: in CI nothing is skipped, and nowhere is one timed."""

import os
import signal
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.support.every_refusal import EveryRefusal
from tests.support.refusals import record

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)
IN_CI = os.environ.get("CI") == "true"

# A machine that is busy with something else must not fail a property.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
# `make proof` asks for it.
settings.register_profile("proof", settings.get_profile("untimed"), max_examples=5_000)


# Before anything refuses anything.
record()
# A shell has what it runs in the background ignore Ctrl-C, and so would whatever a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Look back at all tests at the end, where all of them ran."""
    config.pluginmanager.register(EveryRefusal())


def _must_run(report: R) -> R:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not accept; install what is missing: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one."""
    return _must_run((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped module into a failed one."""
    return _must_run((yield))
