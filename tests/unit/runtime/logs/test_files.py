"""The files: bounded, private, whole lines only, and a disk that refuses costs lines and nothing else."""

import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from prx.runtime.logs.files import LogFiles, log_files
from tests.support.log_lines import line
from tests.support.logs import logged

LINE = len(line(0, "x" * 500).on_disk())


def numbered(*numbers: int) -> list[bytes]:
    return [line(number, f"{number:0500}").on_disk() for number in numbers]


def content(directory: Path) -> list[bytes]:
    return [each for path in log_files(directory) for each in path.read_bytes().splitlines(keepends=True)]


def files_in(directory: Path, *, lines: int = 3, files: int = 3) -> LogFiles:
    return LogFiles(directory, max_file_bytes=lines * LINE, max_files=files)


@contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_size_and_number_of_files_are_bounded_and_the_newest_lines_stay(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    for number in range(100):
        files.write(numbered(number), 0)
    files.close()
    assert [path.stat().st_size for path in log_files(tmp_path)] == [3 * LINE, 3 * LINE, LINE]
    assert content(tmp_path) == numbered(*range(93, 100))


@settings(deadline=None)
@given(st.lists(st.integers(1, 10), max_size=10))
def test_batches_of_any_size_make_the_same_files_as_single_lines(batches: list[int]) -> None:
    with TemporaryDirectory() as scratch:
        directory = Path(scratch)
        files = files_in(directory, files=100)
        first = 0
        for size in batches:
            files.write(numbered(*range(first, first + size)), 0)
            first += size
        files.close()
        sizes = [path.stat().st_size for path in log_files(directory)]
        assert all(size == 3 * LINE for size in sizes[:-1])
        assert content(directory) == numbered(*range(first))


def test_a_line_longer_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    long = line(2, "x" * 5000).on_disk()
    files.write([*numbered(1), long, *numbered(3)], 0)
    files.close()
    assert content(tmp_path) == [*numbered(1), long, *numbered(3)]
    assert len(log_files(tmp_path)) == 3


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    files = files_in(tmp_path / "logs")
    files.write(numbered(1), 0)
    [path] = log_files(tmp_path / "logs")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files.close()
    path.chmod(0o644)
    files.write(numbered(2), 0)
    files.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_restart_goes_on_in_the_newest_file_without_the_torn_end_of_a_crash(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.write(numbered(1, 2), 0)
    files.close()
    [path] = log_files(tmp_path)
    with path.open("ab") as end:
        end.write(numbered(3)[0][:-5])
    again = files_in(tmp_path)
    assert again.last_seq() >= line(2).seq
    again.write(numbered(4, 5), 0)
    again.close()
    assert content(tmp_path) == numbered(1, 2, 4, 5)
    assert len(log_files(tmp_path)) == 2


def test_a_file_without_any_whole_line_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "20200101T000000.000000Z.jsonl").write_bytes(b"\0" * 100)
    files = files_in(tmp_path)
    assert files.last_seq() == 0
    files.write(numbered(1), 0)
    files.close()
    assert len(log_files(tmp_path)) == 2


def test_a_file_that_somebody_deletes_is_made_again(tmp_path: Path) -> None:
    files = files_in(tmp_path / "logs")
    files.write(numbered(1), 0)
    [path] = log_files(tmp_path / "logs")
    path.unlink()
    path.parent.rmdir()
    files.write(numbered(2), 0)
    files.close()
    assert content(tmp_path / "logs") == numbered(2)


def test_fewer_files_are_kept_once_fewer_are_configured(tmp_path: Path) -> None:
    files = files_in(tmp_path, lines=1, files=5)
    files.write(numbered(*range(5)), 0)
    files.close()
    files = files_in(tmp_path, lines=1, files=2)
    files.write(numbered(5), 0)
    files.close()
    assert content(tmp_path) == numbered(4, 5)


def test_a_full_disk_costs_lines_is_a_problem_and_is_over_when_it_has_room_again(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    files = LogFiles(directory, max_file_bytes=1 << 20, max_files=3)
    with logged(tmp_path) as log:
        with disk_full_at(2 * LINE + LINE // 2):
            files.write(numbered(1, 2, 3, 4), 0)
            [problem] = files.problems()
            assert problem.unit == "log.files"
            assert f"cannot be written to {directory}: File too large; 2 are lost so far" in problem.reason
            assert "free some space" in problem.action
            files.write(numbered(5), 3)
            assert "; 6 are lost so far" in files.problems()[0].reason
            assert files.problems()[0].since == problem.since
        # What was written in part is gone, what was written whole is not.
        assert content(directory) == numbered(1, 2)
        files.write(numbered(6), 0)
        assert files.problems() == []
        files.close()
    assert content(directory) == numbered(1, 2, 6)
    told = [(event["level"], event["message"], event.get("lost")) for event in log.events("log")]
    assert told == [
        ("error", "log lines cannot be written to disk", None),
        ("warn", "log lines are missing on disk", 6),
    ]


def test_lines_that_came_too_fast_are_told_once(tmp_path: Path) -> None:
    files = files_in(tmp_path / "logs")
    with logged(tmp_path) as log:
        files.write(numbered(1), 7)
        files.write(numbered(2), 0)
    files.close()
    [event] = log.events("log")
    assert (event["message"], event["lost"]) == ("log lines are missing on disk", 7)
    assert event["reason"] == "they came too fast"
