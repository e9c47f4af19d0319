"""A private file: whole or not at all, for its owner alone, one writer at a time."""

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from prx.core.errors import PrxError, UnavailableError
from prx.core.private_file import PrivateFile


@pytest.fixture
def file(tmp_path: Path) -> PrivateFile:
    return PrivateFile(tmp_path / "deep" / "data.json", max_bytes=100)


def write(file: PrivateFile, content: bytes) -> None:
    with file.locked():
        file.replace(content)


def test_what_was_written_is_read_and_only_its_owner_may(file: PrivateFile) -> None:
    assert file.read() is None
    write(file, b"one")
    write(file, b"two")
    assert file.read() == b"two"
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["data.json", "data.lock"]


def test_what_root_writes_belongs_to_who_owns_the_directory(file: PrivateFile) -> None:
    directory = file.path.parent
    directory.mkdir()
    if os.geteuid() == 0:  # nobody else can write into the directory of another
        os.chown(directory, 65534, 65534)
    for _ in range(2):
        write(file, b"x")
        owners = {path.stat().st_uid for path in (directory, *directory.iterdir())}
        assert owners == {directory.stat().st_uid}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_touch_is_refused_with_the_remedy(file: PrivateFile, mode: int) -> None:
    write(file, b"x")
    file.path.chmod(mode)
    with pytest.raises(PrxError, match=f"others may read or write it: chmod 600 {file.path}"):
        file.read()


def test_a_file_is_bounded_both_ways(file: PrivateFile) -> None:
    write(file, b"x" * 100)
    with pytest.raises(PrxError, match="would be larger than 100 bytes"):
        write(file, b"x" * 101)
    assert file.read() == b"x" * 100
    with file.path.open("ab") as appended:
        appended.write(b"x")
    with pytest.raises(PrxError, match="is larger than 100 bytes"):
        file.read()


def test_what_a_crashed_writer_left_is_replaced_not_followed(file: PrivateFile, tmp_path: Path) -> None:
    write(file, b"old")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (file.path.parent / "data.json.tmp").symlink_to(victim)
    write(file, b"new")
    assert (file.read(), victim.read_bytes()) == (b"new", b"precious")


def test_a_write_that_the_disk_refuses_leaves_the_old_content_and_nothing_else(file: PrivateFile) -> None:
    write(file, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(PrxError, match="cannot be written: File too large"):
            write(file, b"x" * 50)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read() == b"old"
    assert sorted(path.name for path in file.path.parent.iterdir()) == ["data.json", "data.lock"]


def test_a_directory_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnavailableError, match=r"cannot be written: .*; make room or "):
        write(PrivateFile(tmp_path / "file" / "x", max_bytes=1), b"")
    with pytest.raises(PrxError, match="cannot be read: "):
        PrivateFile(tmp_path, max_bytes=1).read()


def test_another_process_that_writes_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    file = PrivateFile(tmp_path / "data.json", max_bytes=100, lock_wait_secs=0.1)
    write(file, b"x")
    code = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(file.path.with_suffix(".lock"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        holder.stdout.readline()
        with pytest.raises(UnavailableError, match="stayed locked by another process"):
            write(file, b"y")
        holder.stdin.close()
        holder.wait()
    write(file, b"z")
    assert file.read() == b"z"
