"""Conversations while the daemon is killed fifty times: no acknowledged message is lost, and none is there twice."""

from tests.e2e.conftest import StartDaemon, start_daemon
from tests.e2e.conversations import converse_through_kills
from tests.e2e.test_talking import LAX

__all__ = ["start_daemon"]


def test_no_acknowledged_message_is_lost_or_doubled_by_fifty_kills(start_daemon: StartDaemon) -> None:
    converse_through_kills(lambda: start_daemon(environment=LAX), messages=3_000, kills=50)
