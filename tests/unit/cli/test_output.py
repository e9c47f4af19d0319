"""How answers look: columns that fit, nothing lost, nothing that a terminal would obey, colours there alone."""

import os
import pty
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.cli.output import cell_width, duration, fields, moment, size, table, wrap

TEXTS = st.text(max_size=60)


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=80), st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_width(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4), st.integers(40, 120))
def test_a_table_fits_its_width_and_shows_nothing_that_a_terminal_obeys(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    lines = table(("NAME", "STATUS", "CAPABILITIES"), rows, width=width).split("\n")
    assert all(cell_width(line) <= width and line.isprintable() for line in lines)


def test_columns_stand_under_each_other_and_long_cells_go_on_below() -> None:
    rows = [("echo", "loaded", "tool:echo"), ("日本", "error", "tool:one tool:two tool:three")]
    assert table(("NAME", "STATUS", "BRINGS"), rows).splitlines() == [
        "NAME  STATUS  BRINGS",
        "echo  loaded  tool:echo",
        "日本  error   tool:one tool:two tool:three",
    ]
    assert table(("NAME", "STATUS", "BRINGS"), rows, width=34).splitlines() == [
        "NAME  STATUS  BRINGS",
        "echo  loaded  tool:echo",
        "日本  error   tool:one tool:two",
        "              tool:three",
    ]


def test_names_and_values_are_aligned_and_wrapped() -> None:
    shown = fields(
        [("Why", "it is much too long\nand wide"), ("Action", "mend it\x1b[2J"), ("", "soon")], width=20
    )
    assert shown.splitlines() == [
        "Why:     it is much",
        "         too long",
        "         and wide",
        "Action:  mend",
        "         it\\x1b[2J",
        "         soon",
    ]


def test_a_name_is_shown_and_not_obeyed_by_the_terminal() -> None:
    assert fields([("\x1b[2J\n", "a\nb\x07")]) == "\\x1b[2J\\n:  a\n" + " " * 12 + "b\\x07"


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**31, "2.0 GiB"), (2**45, "32768.0 GiB")]
)  # fmt: skip
def test_bytes_for_people(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    ("secs", "shown"), [(0, "0s"), (59, "59s"), (302, "5m 2s"), (3600, "1h"), (273_600, "3d 4h"), (90_061, "1d 1h")]
)  # fmt: skip
def test_time_spans_for_people(secs: int, shown: str) -> None:
    assert duration(secs) == shown


def test_moments_are_shown_to_the_second_in_utc() -> None:
    assert moment("2026-03-21T10:15:30.123Z") == "2026-03-21 10:15:30Z"


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(environment: dict[str, str], coloured: bool) -> None:  # noqa: FBT001
    code = "from prx.cli.output import styled_status; import click; click.echo(styled_status('error'))"
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    ours, its = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stdout=its, env=inherited | environment, check=True)
    assert (b"\x1b[31m" in os.read(ours, 100)) is coloured
    os.close(its)
    os.close(ours)
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert piped.stdout == b"error\n"
