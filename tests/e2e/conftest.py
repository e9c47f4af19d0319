"""Daemons for the tests of the process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.daemon_process import DaemonProcess

StartDaemon = Callable[..., DaemonProcess]


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    """Start daemons that share a home; each is killed at the end if it still runs."""
    with ExitStack() as running:

        def start(
            *arguments: str, environment: dict[str, str] | None = None, launcher: Sequence[str] = ()
        ) -> DaemonProcess:
            return running.enter_context(
                DaemonProcess(tmp_path, *arguments, environment=environment, launcher=launcher)
            )

        yield start
