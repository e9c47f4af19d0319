"""Ten thousand events while the daemon is killed fifty times: each is told at least once, in order, signed."""

from tests.e2e.conftest import StartDaemon, start_daemon
from tests.e2e.hook_receiver import stream_through_kills
from tests.e2e.test_webhooks import LAX

__all__ = ["start_daemon"]


def test_ten_thousand_events_are_told_through_fifty_kills(start_daemon: StartDaemon) -> None:
    stream_through_kills(lambda: start_daemon(environment=LAX), events=10_000, kills=50)
