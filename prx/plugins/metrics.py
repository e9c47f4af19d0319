"""What plugins are and used, as metrics: from the totals that every call adds to anyway."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, get_args

from prx.core.metric import Metric
from prx.core.tool import CallTotals
from prx.plugins.plugin import Plugin, PluginStatus

_STATUSES: Final[tuple[PluginStatus, ...]] = get_args(PluginStatus)


class _Measure(NamedTuple):
    """One number of each plugin."""

    name: str
    kind: Literal["counter", "gauge"]
    about: str
    value: Callable[[Plugin, CallTotals], float]


_MEASURES: Final = (
    _Measure("prx_plugin_calls", "counter", "Calls that ran", lambda _, totals: totals.calls),
    _Measure(
        "prx_plugin_guest_seconds", "counter", "Time in the guest, host functions excluded",
        lambda _, totals: totals.guest_ms / 1000,
    ),
    _Measure("prx_plugin_fuel", "counter", "Fuel used, where it is metered", lambda _, totals: totals.fuel_used),
    _Measure("prx_plugin_host_calls", "counter", "Calls of host functions", lambda _, totals: totals.host_calls),
    _Measure("prx_plugin_http_requests", "counter", "Requests sent", lambda _, totals: totals.http_requests),
    _Measure("prx_plugin_input_bytes", "counter", "Arguments of calls", lambda _, totals: totals.bytes_in),
    _Measure("prx_plugin_output_bytes", "counter", "Output of calls", lambda _, totals: totals.bytes_out),
    _Measure(
        "prx_plugin_call_memory_peak_bytes", "gauge", "Linear memory of the call that held most",
        lambda _, totals: totals.peak_memory_bytes,
    ),
    _Measure(
        "prx_plugin_memory_bytes", "gauge", "Linear memory of the live instances",
        lambda plugin, _: plugin.memory_usage_bytes(),
    ),
    _Measure("prx_plugin_instances", "gauge", "Live instances", lambda plugin, _: plugin.instances()),
)  # fmt: skip


def plugin_metrics(plugins: Sequence[Plugin]) -> list[Metric]:
    """Return the metrics of `plugins`, which have different names; see `MetricSource`."""
    count = Counter(plugin.status for plugin in plugins)
    measured = [(plugin, plugin.meter.totals()) for plugin in plugins]
    statuses = [((status,), count[status]) for status in _STATUSES]
    failures = [
        ((plugin.name, code), number)
        for plugin, totals in measured
        for code, number in sorted(totals.errors_by_code.items())
    ]
    return [
        Metric("prx_plugins", "gauge", "Plugins by status", ("status",), statuses),
        Metric(
            "prx_plugin_call_failures",
            "counter",
            "Calls that failed, by the code of the failure",
            ("plugin", "code"),
            failures,
        ),
        *(
            Metric(
                measure.name,
                measure.kind,
                measure.about,
                ("plugin",),
                [((plugin.name,), measure.value(plugin, totals)) for plugin, totals in measured],
            )
            for measure in _MEASURES
        ),
    ]
