"""What holds for all tests: in CI nothing is skipped, and nowhere is one timed."""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

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
_LAST = "test_every_refusal"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what looks back at all tests at the end, where all of them run."""
    last = [item for item in items if item.path.stem == _LAST]
    others = [item for item in items if item.path.stem != _LAST]
    chosen = config.option.markexpr or config.option.keyword or config.args != config.getini("testpaths")
    if chosen:
        config.hook.pytest_deselected(items=last)
        last = []
    items[:] = others + last


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
