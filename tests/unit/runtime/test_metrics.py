"""Metrics as text: what parts tell is what Prometheus reads."""

import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families

from prx.core.metric import Distribution, Metric, counter, gauge
from prx.runtime.metrics import Metrics


async def test_every_part_is_asked_at_each_scrape() -> None:
    calls = 0

    def part() -> list[Metric]:
        nonlocal calls
        calls += 1
        return [counter("prx_calls", "Calls", calls), gauge("prx_level", "Level", 0.5)]

    metrics = Metrics()
    metrics.watch(part)
    assert b"prx_calls_total 1.0\n" in (await metrics.scrape(""))[0]
    text, content_type = await metrics.scrape("")
    assert b"# HELP prx_calls_total Calls\n# TYPE prx_calls_total counter\nprx_calls_total 2.0\n" in text
    assert b"# TYPE prx_level gauge\nprx_level 0.5\n" in text
    assert b"process_resident_memory_bytes " in text
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"


async def test_buckets_of_a_histogram_add_up() -> None:
    spread = Metric(
        "prx_wait_seconds",
        "histogram",
        "Waits",
        ("route",),
        [(("/a",), Distribution([1, 0, 2], 7.5))],
        (0.1, 1.0),
    )
    metrics = Metrics()
    metrics.watch(lambda: [spread])
    text, _ = await metrics.scrape("")
    [family] = [each for each in text_string_to_metric_families(text.decode()) if each.name == spread.name]
    found = {(sample.name, sample.labels.get("le")): sample.value for sample in family.samples}
    assert found == {
        ("prx_wait_seconds_bucket", "0.1"): 1,
        ("prx_wait_seconds_bucket", "1.0"): 1,
        ("prx_wait_seconds_bucket", "+Inf"): 3,
        ("prx_wait_seconds_count", None): 3,
        ("prx_wait_seconds_sum", None): 7.5,
    }


def test_the_library_is_not_loaded_before_the_first_scrape() -> None:
    code = "import sys, prx.daemon.process, prx.cli.status; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"
