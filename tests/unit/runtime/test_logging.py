"""The log: what a line holds, that it never blocks, and that nothing is lost without a word."""

import contextlib
import json
import logging
import os
import pty
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.contextvars import bound_contextvars

from prx.core.levels import LogLevel
from prx.core.text import printable
from prx.runtime.log_format import readable_lines
from prx.runtime.logging import LogFormat, LogOutput, get_logger, quieten, set_level

log = get_logger("plugins::catalogue")


class Lines:
    """A configured log that writes to a file, and what came out of it."""

    def __init__(self, file: IO[bytes], level: LogLevel, style: LogFormat) -> None:
        self._file = file
        self._output = LogOutput(level, style, file.fileno())
        self._closed = False

    def close(self) -> None:
        if not self._closed:
            self._output.close()
            self._closed = True

    def text(self) -> str:
        self.close()
        return Path(self._file.name).read_text()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@contextlib.contextmanager
def logged(tmp_path: Path, level: LogLevel = "info", style: LogFormat = "json") -> Iterator[Lines]:
    with (tmp_path / "log").open("wb") as file:
        lines = Lines(file, level, style)
        try:
            yield lines
        finally:
            lines.close()


def test_a_json_line_has_the_fields_of_the_contract_in_order(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        log.bind(plugin="weather").info("loaded", took_ms=12)
        (event,) = lines.events()
    assert list(event) == ["timestamp", "level", "module", "message", "plugin", "took_ms"]
    assert event["module"] == "plugins::catalogue"
    assert event["message"] == "loaded"
    assert len(event["timestamp"]) == len("2026-03-21T10:15:30.123Z")
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize("level", ["trace", "debug", "info", "warn", "error"])
def test_the_level_says_what_is_logged_and_changes_at_run_time(tmp_path: Path, level: LogLevel) -> None:
    ranks = ["trace", "debug", "info", "warn", "error"]
    with logged(tmp_path, "error" if level == "trace" else "trace") as lines:
        set_level(level)
        for rank in ranks:
            getattr(log, {"warn": "warning"}.get(rank, rank))("line")
        assert [event["level"] for event in lines.events()] == ranks[ranks.index(level) :]


def test_context_does_not_overwrite_what_every_line_has(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        log.info("line", level=3, module="mine")
        (event,) = lines.events()
    assert (event["level"], event["level_"], event["module_"]) == ("info", 3, "mine")


def test_context_of_the_request_is_in_its_lines(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        with bound_contextvars(request_id="req_1"):
            log.info("inside")
        log.info("outside")
        inside, outside = lines.events()
    assert inside["request_id"] == "req_1"
    assert "request_id" not in outside


def test_an_exception_brings_its_traceback(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        try:
            {}["lost"]
        except KeyError:
            log.exception("failed")
        (event,) = lines.events()
    assert event["level"] == "error"
    assert event["exception"].endswith("KeyError: 'lost'")


def test_values_without_a_json_form_are_shown_and_secrets_are_not(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        log.info("line", path=Path("/a"), key=SecretStr("hunter2"), name="caf\udce9")
        text = lines.text()
    assert "/a" in text
    assert "hunter2" not in text
    assert json.loads(text)["name"] == "caf\udce9"


def test_a_huge_value_is_cut_and_the_line_stays_json(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        log.info("x" * 1_000_000)
        (event,) = lines.events()
    assert event["message"].endswith("... (991808 more characters)")


def test_libraries_and_warnings_end_up_in_the_same_log(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        logging.getLogger("aiohttp.server").error("refused %s", "x")
        logging.getLogger("asyncio").critical("slow")
        logging.getLogger("asyncio").debug("not shown")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("careful", stacklevel=1)
        events = [(event["level"], event["module"], event["message"]) for event in lines.events()]
    assert events[:2] == [
        ("error", "http::server", "refused x"),
        ("error", "asyncio", "slow"),
    ]
    assert events[2][:2] == ("warn", "python::warnings")
    assert "careful" in events[2][2]


def test_a_library_that_is_quietened_says_only_what_is_wrong_at_any_level(tmp_path: Path) -> None:
    quieten("some.talkative")
    with logged(tmp_path) as lines:
        set_level("debug")
        logging.getLogger("some.talkative.part").info("session 1234")
        logging.getLogger("some.talkative").warning("broken")
        events = [(event["level"], event["message"]) for event in lines.events()]
    assert events == [("warn", "broken")]


def test_a_library_that_logs_wrongly_is_still_heard(tmp_path: Path) -> None:
    record = logging.LogRecord("some.library", logging.WARNING, "", 0, "wrong %d", ("x",), None)
    with logged(tmp_path) as lines:
        logging.getLogger().handlers[-1].handle(record)
        (event,) = lines.events()
    assert (event["level"], event["module"], event["message"]) == (
        "warn",
        "some::library",
        "wrong %d",
    )


def test_a_thread_that_fails_is_logged(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        thread = threading.Thread(target=lambda: {}["lost"], name="worker")
        thread.start()
        thread.join()
        (event,) = lines.events()
    assert (event["level"], event["thread"]) == ("error", "worker")
    assert "KeyError: 'lost'" in event["exception"]


def test_closing_gives_stdlib_logging_back(tmp_path: Path) -> None:
    before = logging.getLogger().handlers[:]
    with logged(tmp_path) as lines:
        lines.close()
        assert logging.getLogger().handlers == before


def test_before_the_log_is_configured_warnings_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    log.info("not shown")
    log.warning("shown", file="a b")
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "warn  plugins::catalogue   shown file='a b'" in line


def test_a_readable_line_outside_of_a_terminal_has_no_colours(tmp_path: Path) -> None:
    with logged(tmp_path, style="pretty") as lines:
        log.info("listening", url="http://127.0.0.1:3120")
        text = lines.text()
    assert "\x1b" not in text
    assert text.endswith("info  plugins::catalogue   listening url=http://127.0.0.1:3120\n")


def test_on_a_terminal_auto_is_readable_and_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    reader, terminal = pty.openpty()
    with os.fdopen(reader, "rb", buffering=0) as shown, os.fdopen(terminal, "wb"):
        output = LogOutput("info", "auto", terminal)
        log.info("hello")
        output.close()
        line = shown.read(4096)
    assert b"hello" in line
    assert b"\x1b[32minfo" in line


@given(st.text())
def test_no_text_reaches_a_terminal_as_anything_but_text(text: str) -> None:
    assert printable(text).isprintable()
    event = {"level": "info"} | dict.fromkeys(("module", "message", "key", "exception"), text)
    assert readable_lines(colours=False)(event).replace("\n", "").isprintable()


def test_a_reader_that_stalls_costs_lines_not_time_and_is_told_how_many() -> None:
    reader, writer = os.pipe()
    received: list[bytes] = []
    with os.fdopen(reader, "rb") as shown:
        reading = threading.Thread(target=lambda: received.extend(shown))
        with os.fdopen(writer, "wb"):
            output = LogOutput("info", "json", writer)
            # Far more than a pipe and the queue hold: this would never end if a line could block.
            for number in range(2000):
                log.info("x" * 8000, number=number)
            reading.start()
            output.close(timeout_secs=30)
        reading.join(30)
    events = [json.loads(line) for line in received]
    dropped = sum(event.get("dropped", 0) for event in events)
    assert dropped > 0
    assert sum("number" in event for event in events) + dropped == 2000


def test_a_reader_that_never_comes_back_does_not_hold_up_the_end() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb"):
        output = LogOutput("info", "json", writer)
        for _ in range(100):
            log.info("x" * 8000)
        output.close(timeout_secs=0.01)


def test_a_reader_that_has_gone_costs_its_lines_only() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb"):
        os.close(reader)
        output = LogOutput("info", "json", writer)
        log.info("nobody hears")
        output.close(timeout_secs=30)


def test_a_descriptor_that_another_made_non_blocking_loses_nothing() -> None:
    reader, writer = os.pipe()
    received: list[bytes] = []
    with os.fdopen(reader, "rb") as shown:
        reading = threading.Thread(target=lambda: received.extend(shown))
        with os.fdopen(writer, "wb"):
            os.set_blocking(writer, False)  # the standard library's own signature
            output = LogOutput("info", "json", writer)
            for number in range(100):
                log.info("x" * 8000, number=number)
            reading.start()
            output.close(timeout_secs=30)
        reading.join(30)
    assert [json.loads(line)["number"] for line in received] == list(range(100))
