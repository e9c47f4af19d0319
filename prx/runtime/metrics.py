"""What Prometheus is told: every part's metrics as they are at the time of the scrape."""

import asyncio
from collections.abc import Sequence

from prx.core.metric import Metric, MetricSource


class Metrics:
    """Asks every part when it is asked. Nothing is counted here, so it costs nothing until then."""

    def __init__(self) -> None:
        """Start with no parts."""
        self._sources: list[MetricSource] = []

    def watch(self, source: MetricSource) -> None:
        """Ask `source` at each scrape; no other part has metrics of the same names."""
        self._sources.append(source)

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """Return all of them as text and its content type, in the format that the header `accept` prefers."""
        found = [metric for source in self._sources for metric in source()]
        # Off the loop: a hundred plugins make thousands of lines.
        return await asyncio.to_thread(_rendered, found, accept)


def _rendered(metrics: Sequence[Metric], accept: str) -> tuple[bytes, str]:
    # Most daemons are never scraped: 10 ms and a web server of the library's own, in this thread and when it is needed.
    from prx.runtime.exposition import rendered  # noqa: PLC0415

    return rendered(metrics, accept)
