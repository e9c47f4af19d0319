"""What guests say in the log: at its level, under their name, and never more than a bounded rate."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from prx.plugins.host.output import GuestOutput
from prx.runtime.foreign_output import LEVELS
from tests.support.logs import logged


class Clock:
    """A clock that the test turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("prx.runtime.foreign_output.time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_line_has_its_level_and_the_plugins_module(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        output = GuestOutput("my-weather")
        for level in LEVELS:
            output.write(level, f"at {level}")
    assert [(event["level"], event["message"]) for event in lines.events()] == [
        (lv, f"at {lv}") for lv in LEVELS
    ]
    assert {(event["module"], event["plugin"]) for event in lines.events()} == {
        ("plugin::my_weather", "my-weather")
    }


def test_what_a_guest_prints_is_info_and_what_it_complains_is_a_warning(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        output = GuestOutput("weather")
        output.stdout("caf\u00e9".encode())
        output.stderr(b"broken \xff bytes")
        output.stderr(b"  \r")
    assert [(event["level"], event["message"]) for event in lines.events()] == [
        ("info", "café"),
        ("warn", "broken \ufffd bytes"),
    ]


def test_a_long_message_is_cut(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        GuestOutput("weather").write("info", "x" * 1_000_000)
    [message] = lines.messages()
    assert message.startswith("x" * 4000)
    assert len(message) < 8300


def test_a_flood_loses_lines_and_the_log_says_how_many(tmp_path: Path, clock: Clock) -> None:
    with logged(tmp_path) as lines:
        output = GuestOutput("weather")
        for number in range(1000):
            output.write("info", str(number))
        clock.now += 1.0
        for number in range(1000):
            output.write("info", f"later {number}")
    events = lines.events()
    assert [event["message"] for event in events[:200]] == [str(number) for number in range(200)]
    assert (events[200]["level"], events[200]["dropped"]) == ("warn", 800)
    assert [event["message"] for event in events[201:]] == [f"later {number}" for number in range(100)]


def test_a_quiet_guest_earns_no_more_than_one_burst(tmp_path: Path, clock: Clock) -> None:
    with logged(tmp_path) as lines:
        output = GuestOutput("weather")
        clock.now += 3600
        for _ in range(500):
            output.write("info", "x")
    assert len(lines.events()) == 200


def test_one_plugins_flood_is_not_anothers(tmp_path: Path, clock: Clock) -> None:
    assert clock.now
    with logged(tmp_path) as lines:
        flood, quiet = GuestOutput("flood"), GuestOutput("quiet")
        for _ in range(500):
            flood.write("info", "x")
        quiet.write("info", "heard")
    assert lines.messages("plugin::quiet") == ["heard"]
