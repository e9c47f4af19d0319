"""Metrics as text, in the formats of Prometheus and OpenMetrics. Imports the library: see `prx.runtime.metrics`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from prx.core.metric import Distribution, Metric

# Under the names that every dashboard knows: `process_cpu_seconds_total` and its like.
_PROCESS: Final = ProcessCollector(registry=None)
_OPENMETRICS: Final = "application/openmetrics-text"
_FAMILIES: Final[Mapping[str, Callable[..., Any]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class _Collected:
    """What was collected before, for a registry of this one scrape."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Any]:
        yield from map(_family, self._metrics)
        yield from _PROCESS.collect()


def rendered(metrics: Sequence[Metric], accept: str) -> tuple[bytes, str]:
    """Return `metrics` and those of the process as text, and its content type.

    That is OpenMetrics where the header `accept` has it, else the text format that everything reads.
    """
    registry = CollectorRegistry()
    registry.register(_Collected(metrics))
    # Not with the header itself: the library fails on versions that are none, and repeats what it was sent.
    encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept.lower() else "")
    return encode(registry), content_type


def _family(metric: Metric) -> Any:
    family = _FAMILIES[metric.kind](metric.name, metric.about, labels=metric.labels)
    for given, value in metric.samples:
        # The name of a file need not be text.
        labels = [label.encode(errors="backslashreplace").decode() for label in given]
        if isinstance(value, Distribution):
            bounds = [*map(floatToGoString, metric.bounds), "+Inf"]
            family.add_metric(labels, list(zip(bounds, accumulate(value.counts), strict=True)), value.total)
        else:
            family.add_metric(labels, value)
    return family
