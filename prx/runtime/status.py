"""What the daemon knows of itself: when it started, whether it is ready, and what is wrong."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime

from prx import __version__
from prx.core.ids import now_utc
from prx.core.metric import Metric, gauge
from prx.core.unit import Problem

ProblemSource = Callable[[], Iterable[Problem]]


class StatusBoard:
    """Readiness and problems. Only the daemon writes it; `/status` and `/status/health` read it."""

    def __init__(self) -> None:
        """Start as not ready, with no source of problems."""
        self.started_at: datetime = now_utc()
        self._started = time.monotonic()
        self._sources: list[ProblemSource] = []
        self._ready = False
        self.loop_lag_ms = 0.0

    @property
    def ready(self) -> bool:
        """Whether requests are served: false while the daemon starts and while it drains."""
        return self._ready

    def set_ready(self, *, ready: bool) -> None:
        """Open or close the daemon for load balancers."""
        self._ready = ready

    @property
    def uptime_secs(self) -> int:
        """Whole seconds since the daemon started."""
        return int(time.monotonic() - self._started)

    def watch(self, source: ProblemSource) -> None:
        """Ask `source` for its problems each time the status is read."""
        self._sources.append(source)

    def problems(self) -> list[Problem]:
        """Return everything that is wrong now; empty when healthy."""
        return [problem for source in self._sources for problem in source()]

    def metrics(self) -> list[Metric]:
        """Return what the daemon knows of itself; see `MetricSource`."""
        problems = Counter(problem.unit for problem in self.problems())
        version = [((__version__,), 1)]
        return [
            Metric("prx_build_info", "gauge", "Always 1, with the version", ("version",), version),
            gauge("prx_uptime_seconds", "Since the daemon started", time.monotonic() - self._started),
            gauge(
                "prx_loop_lag_seconds",
                "How late the event loop woke a sleeping task",
                self.loop_lag_ms / 1000,
            ),
            gauge("prx_threads", "Threads of the process that run Python", threading.active_count()),
            Metric(
                "prx_problems",
                "gauge",
                "What `GET /api/v1/status` calls problems, by the part that has them; none when healthy",
                ("unit",),
                [((unit,), number) for unit, number in sorted(problems.items())],
            ),
        ]

    async def measure_loop_lag(self, every_secs: float = 1.0) -> None:
        """Keep `loop_lag_ms` true until cancelled: how late the loop wakes a sleeping task."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + every_secs
            await asyncio.sleep(every_secs)
            self.loop_lag_ms = max(0.0, (loop.time() - due) * 1000)
