"""Giving back machine code: the memory goes, what was changed stays, and everything still runs."""

import ctypes
import mmap
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from prx.runtime import code_pages
from prx.runtime.code_pages import give_back_code, give_back_code_of
from tests.support.pages import resident_code_kib


@contextmanager
def code_in(file: Path) -> Iterator[mmap.mmap]:
    """Map `file` as code that may have been changed in memory."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        view = ctypes.c_char.from_buffer(mapped)
        address, length = ctypes.addressof(view), len(mapped)
        del view
        mapped[0] = 0x90
        libc = ctypes.CDLL(None)
        assert libc.mprotect(ctypes.c_void_p(address), length, mmap.PROT_READ | mmap.PROT_EXEC) == 0
        yield mapped


def test_code_that_nobody_runs_leaves_memory_and_comes_back_when_called() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        query = 'SELECT group_concat(upper(value)) FROM json_each(\'["a", "b"]\')'
        assert database.execute(query).fetchone() == ("A,B",)
        before = resident_code_kib()
        give_back_code()
        assert resident_code_kib() < before
        assert database.execute(query).fetchone() == ("A,B",)


def test_code_that_was_changed_in_memory_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "code"
    file.write_bytes(b"\xc3" * mmap.PAGESIZE)
    with code_in(file) as mapped:
        give_back_code()
        assert mapped[0] == 0x90


def test_the_code_of_one_file_leaves_memory_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for file in (one, other):
        file.write_bytes(b"\xc3" * mmap.PAGESIZE)
    with code_in(one), code_in(other):
        give_back_code_of(one)
        assert resident_code_kib(str(one)) == 0
        assert resident_code_kib(str(other)) > 0


def test_another_system_than_linux_keeps_its_pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for mappings in ("_MAPPINGS", "_MAPPINGS_IN_DETAIL"):
        monkeypatch.setattr(code_pages, mappings, tmp_path / "missing")
    give_back_code()
    give_back_code_of(tmp_path)
