"""Giving back machine code: the memory goes, what was changed stays, and everything still runs."""

import ctypes
import mmap
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from prx.runtime import code_pages
from prx.runtime.code_pages import give_back_code

_PAGE = mmap.PAGESIZE


def resident_kib() -> int:
    """Return how much machine code is in memory."""
    total = 0
    counting = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if not fields[0].endswith(":"):
            counting = fields[1] == "r-xp"
        elif counting and fields[0] == "Rss:":
            total += int(fields[1])
    return total


def test_code_that_nobody_runs_leaves_memory_and_comes_back_when_called() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        query = 'SELECT group_concat(upper(value)) FROM json_each(\'["a", "b"]\')'
        assert database.execute(query).fetchone() == ("A,B",)
        before = resident_kib()
        give_back_code()
        assert resident_kib() < before
        assert database.execute(query).fetchone() == ("A,B",)


def test_code_that_was_changed_in_memory_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "code"
    file.write_bytes(b"\xc3" * _PAGE)
    libc = ctypes.CDLL(None)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), _PAGE, access=mmap.ACCESS_COPY) as mapped:
        mapped[0] = 0x90
        view = ctypes.c_char.from_buffer(mapped)
        address = ctypes.c_void_p(ctypes.addressof(view))
        assert libc.mprotect(address, _PAGE, mmap.PROT_READ | mmap.PROT_EXEC) == 0
        assert f"{ctypes.addressof(view):x}-" in Path("/proc/self/maps").read_text(encoding="utf-8")
        give_back_code()
        assert mapped[0] == 0x90
        del view


def test_another_system_than_linux_keeps_its_pages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(code_pages, "_MAPPINGS", tmp_path / "missing")
    give_back_code()
