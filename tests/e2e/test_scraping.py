"""`/metrics` of a real daemon: every metric is documented, and the values are those of what happened."""

import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from prx import __version__
from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import WAIT_SECS, DaemonProcess, call
from tests.support.waiting import wait_until
from tests.unit.docs.documents import DOCS, blocks, first_cells, sections

SECTION = sections((DOCS / "operators.md").read_text(), 3)["Metrics"]
_PARTS = re.compile(r"_(bucket|count|sum)$")


@pytest.fixture
def daemon(start_daemon: StartDaemon, tmp_path: Path) -> DaemonProcess:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "echo.wasm").write_bytes(component("echo"))
    (tmp_path / "plugins" / "trap.wasm").write_bytes(component("trap"))
    (tmp_path / "prx.toml").write_text("[gateway.rate_limits]\nother = 0\n[channels_config.pigeon]\n")
    return start_daemon()


def scraped(url: str, token: str) -> tuple[list[str], dict[str, float]]:
    """Return the names of all metrics, and each value by its name and labels as they are written."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=WAIT_SECS) as answer:  # noqa: S310
        text = answer.read().decode()
    names = re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
    values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            values[f"{sample.name}{{{labels}}}"] = sample.value
    return names, values


def test_the_values_are_those_of_what_happened(daemon: DaemonProcess) -> None:
    url, token = daemon.event("ready")["url"], daemon.token()
    metrics = url.replace("/api/v1", "/metrics")
    wait_until(lambda: scraped(metrics, token)[1]["prx_plugins{status=loaded}"] == 2)
    for _ in range(3):
        assert call(f"{url}/tools/echo/call", token, {"arguments": {"text": "x"}})[1]["success"] is True
    assert call(f"{url}/tools/run/call", token, {"arguments": {}})[1]["success"] is False
    assert call(f"{url}/sessions", token, {"channel": "api", "user_id": "ada"})[0] == 201

    names, found = scraped(metrics, token)
    documented = first_cells(SECTION)
    assert sorted(names) == sorted(documented)
    assert len(names) == len(set(names))
    expected: dict[str, Any] = {
        f"prx_build_info{{version={__version__}}}": 1,
        "prx_plugin_calls_total{plugin=echo}": 3,
        "prx_plugin_calls_total{plugin=trap}": 1,
        "prx_plugin_call_failures_total{code=trap,plugin=trap}": 1,
        "prx_http_requests_total{method=POST,route=/api/v1/tools/{name}/call,status=200}": 4,
        "prx_http_requests_total{method=POST,route=/api/v1/sessions,status=201}": 1,
        "prx_problems{unit=channel.pigeon}": 1,
        "prx_unit_up{unit=channel.pigeon}": 0,
        "prx_unit_up{unit=plugins.catalogue}": 1,
        "prx_channels{status=disconnected}": 1,
        "prx_sessions_active{}": 1,
        "prx_store_up{}": 1,
        "prx_config_version{}": 1,
        "prx_tools{source=plugin:echo}": 1,
        "prx_log_lines_lost_total{}": 0,
    }
    assert {name: found.get(name) for name in expected} == expected
    for positive in (
        "prx_uptime_seconds{}", "prx_threads{}", "prx_plugin_guest_seconds_total{plugin=echo}",
        "prx_plugin_memory_bytes{plugin=echo}", "prx_plugin_instances{plugin=echo}",
        "prx_plugin_input_bytes_total{plugin=echo}", "process_resident_memory_bytes{}", "process_open_fds{}",
    ):  # fmt: skip
        assert found[positive] > 0, positive

    daemon.prx("channel", "restart", "pigeon")
    assert scraped(metrics, token)[1]["prx_unit_restarts_total{unit=channel.pigeon}"] == 1


def test_the_documented_rules_name_metrics_that_there_are() -> None:
    documented = set(first_cells(SECTION))
    scrape, rules = (yaml.safe_load(block.text) for block in blocks(SECTION) if block.language == "yaml")
    assert scrape["scrape_configs"][0]["job_name"] == "prx"
    for rule in rules["groups"][0]["rules"]:
        named = re.findall(r"\b(?:prx|process)_\w+", rule["expr"])
        assert {_PARTS.sub("", name) for name in named} <= documented, rule
