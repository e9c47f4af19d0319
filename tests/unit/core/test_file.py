"""What may be said of a file that somebody else describes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.file import MAX_NAME_CHARS, fit_media_type, fit_name, suffix_of


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("plot.png", "plot.png"),
        ("Über uns 你好.pdf", "Über uns 你好.pdf"),
        ("../../etc/passwd", "etc passwd"),
        ('a"b\r\nContent-Type: x', "a b Content-Type x"),
        ("\u202egnp.exe", "gnp.exe"),
        (" . ", ""),
        ("x" * 300 + ".png", "x" * 96 + ".png"),
        ("x" * 300 + ".a b", "x" * 100),
        ("x" * 300, "x" * 100),
    ],
)
def test_a_name_is_one_of_a_file_and_of_nothing_else(name: str, fit: str) -> None:
    assert fit_name(name) == fit


@given(st.text())
def test_no_name_is_a_path_or_two_lines_or_long(name: str) -> None:
    fit = fit_name(name)
    assert len(fit) <= MAX_NAME_CHARS
    assert fit.isprintable()
    assert not set(fit) & set('/\\:"')
    assert fit_name(fit) == fit


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("Image/PNG; charset=x", "image/png"),
        ("application/vnd.ms-excel", "application/vnd.ms-excel"),
        ("image/png\r\nX: y", "application/octet-stream"),
        ("multipart/mixed", "application/octet-stream"),
        ("message/rfc822", "application/octet-stream"),
        ("png", "application/octet-stream"),
        (None, "application/octet-stream"),
    ],
)
def test_a_type_is_one_that_stands_in_a_header(value: object, kind: str) -> None:
    assert fit_media_type(value) == kind


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("image/png", ".png"),
        ("image/jpeg", ".jpg"),
        ("image/svg+xml", ".svg"),
        ("text/plain", ".txt"),
        ("audio/mpeg", ".mp3"),
        ("application/octet-stream", ".bin"),
        ("application/vnd.ms-excel", ".bin"),
    ],
)
def test_a_file_without_a_name_ends_as_its_type_says(kind: str, suffix: str) -> None:
    assert suffix_of(kind) == suffix
