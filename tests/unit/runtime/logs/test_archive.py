"""Searching the files: as if every line were looked at, over files, blocks and what is not yet on disk."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prx.core.errors import UnavailableError
from prx.core.levels import RANKS, LogLevel
from prx.runtime.logs import archive as archive_module
from prx.runtime.logs.archive import LogArchive
from prx.runtime.logs.files import LogFiles, log_files
from prx.runtime.logs.line import LogLine
from prx.runtime.logs.query import LogQuery
from tests.support.log_lines import line, messages, stamp

MODULES = ["plugins", "plugins::catalogue", "plugin::weather", "pluginsmith", 'odd"::\\']
_levels = st.sampled_from(list(RANKS))
_modules = st.sampled_from(MODULES)
_seconds = st.integers(0, 100)  # the clock may jump
_some_lines = st.lists(st.tuples(_levels, _modules, _seconds), max_size=60)
_queries = st.builds(
    LogQuery,
    level=_levels,
    module=st.none() | st.sampled_from([*MODULES, "plugin"]),
    since=st.just(b"") | st.integers(0, 100).map(lambda second: stamp(second).encode()),
    after=st.just(0) | st.integers(0, 60).map(lambda number: line(number).seq),
)


def written(directory: Path, lines: list[LogLine], *, max_file_bytes: int = 1 << 20) -> None:
    files = LogFiles(directory, max_file_bytes=max_file_bytes, max_files=1000)
    files.write([each.on_disk() for each in lines], 0)
    files.close()


def matching(lines: list[LogLine], query: LogQuery) -> list[LogLine]:
    """Return what a reader of every line would find."""
    return [
        each
        for each in lines
        if RANKS[each.key[0]] >= RANKS[query.level]
        and (query.module is None or f"{each.key[1]}::".startswith(f"{query.module}::"))
        and each.timestamp >= query.since
        and each.seq > query.after
    ]


@settings(deadline=None)
@given(
    _some_lines,
    _queries,
    st.integers(1, 30),
    st.integers(0, 30),
    st.integers(0, 60),
    st.integers(200, 8000),
    st.sampled_from([1, 500, 8000]),
)
def test_a_search_finds_what_a_reader_of_every_line_would(
    kinds: list[tuple[LogLevel, str, int]],
    query: LogQuery,
    limit: int,
    offset: int,
    unwritten: int,
    file_bytes: int,
    block_bytes: int,
) -> None:
    lines = [
        line(number, level=level, module=module, second=second)
        for number, (level, module, second) in enumerate(kinds)
    ]
    on_disk, newer = lines[: len(lines) - unwritten], lines[len(lines) - unwritten :] if unwritten else []
    if unwritten > len(lines):
        on_disk, newer = [], lines
    with TemporaryDirectory() as scratch:
        written(Path(scratch), on_disk, max_file_bytes=file_bytes)
        archive = LogArchive(Path(scratch), 0)
        archive._block_bytes = block_bytes
        expected = matching(lines, query)
        page = archive.search(
            query,
            limit=limit,
            offset=offset,
            newer=lambda seq: [each for each in newer if each.seq > seq],
        )
        assert page.total == len(expected)
        assert page.lines == expected[::-1][offset : offset + limit][::-1]
        assert archive.next_after(query, limit) == matching(on_disk, query)[:limit]


_batches = st.tuples(
    st.just("write"), st.lists(st.tuples(_levels, _modules, _seconds), min_size=1, max_size=12)
)
_steps = st.lists(
    _batches
    | st.tuples(st.just("crash"), st.integers(0, 120))
    | st.tuples(st.sampled_from(["restart", "ask"]), _queries),
    max_size=20,
)


@settings(deadline=None)
@given(_steps, _queries, st.integers(200, 3000), st.integers(2, 5), st.sampled_from([1, 300, 8000]))
def test_an_index_that_grows_with_the_files_finds_what_a_reader_of_every_line_would(
    steps: list[tuple[str, Any]], query: LogQuery, file_bytes: int, most_files: int, block_bytes: int
) -> None:
    """Over rotations, restarts of the writer, of both, and crashes that leave half a line."""
    with TemporaryDirectory() as scratch:
        directory, written_lines = Path(scratch), 0

        def archive_of_files() -> LogArchive:
            archive = LogArchive(directory, 0)
            archive._block_bytes = block_bytes
            return archive

        def check(archive: LogArchive, query: LogQuery) -> None:
            expected = matching(lines_in(directory), query)
            assert archive.search(query, limit=4, offset=2) == (expected[:-2][-4:], len(expected))

        archive, files = (
            archive_of_files(),
            LogFiles(directory, max_file_bytes=file_bytes, max_files=most_files),
        )
        for step, what in [*steps, ("ask", query)]:
            if step == "write":
                batch = [
                    line(written_lines + at, level=level, module=module, second=second)
                    for at, (level, module, second) in enumerate(what)
                ]
                written_lines += len(batch)
                files.write([each.on_disk() for each in batch], 0)
            elif step == "ask":
                check(archive, what)
            else:
                files.close()
                if step == "restart":
                    archive = archive_of_files()
                elif existing := log_files(directory):
                    with existing[-1].open("ab") as end:
                        end.write(line(written_lines).on_disk()[:what].rstrip(b"\n"))
                    check(archive, query)
                files = LogFiles(directory, max_file_bytes=file_bytes, max_files=most_files)
        files.close()


def lines_in(directory: Path) -> list[LogLine]:
    """Return every whole line of the files, in the order in which they were written, by parsing them as JSON."""
    found = []
    for path in log_files(directory):
        for text in path.read_bytes().split(b"\n")[:-1]:
            body = json.loads(text)
            seq = body.pop("seq")
            key = (body["level"], body["module"])
            found.append(LogLine(seq, body["timestamp"].encode(), key, json.dumps(body).encode()))
    return found


def test_what_is_written_later_is_found_by_the_same_archive(tmp_path: Path) -> None:
    files = LogFiles(tmp_path, max_file_bytes=300, max_files=3)
    archive = LogArchive(tmp_path, 0)
    for number in range(20):
        files.write([line(number).on_disk()], 0)
        page = archive.search(LogQuery(), limit=2)
        assert messages(page.lines)[-1] == f"line {number}"
        # Two lines fit in a file, three files are kept.
        assert page.total == min(number + 1, 5 + number % 2)
    files.close()


def test_what_is_no_line_of_the_log_is_passed_over(tmp_path: Path) -> None:
    written(tmp_path, [line(1)])
    [file] = log_files(tmp_path)
    with file.open("ab") as end:
        end.write(
            b"rubbish\n\n\0\0\0\n" + b"x" * 600_000 + b"\n" + line(2).on_disk() + line(3).on_disk()[:-10]
        )
    archive = LogArchive(tmp_path, 0)
    assert messages(archive.search(LogQuery(), limit=9).lines) == ["line 1", "line 2"]
    with file.open("ab") as end:
        end.write(line(3).on_disk()[-10:])
    assert messages(archive.search(LogQuery(), limit=9).lines) == ["line 1", "line 2", "line 3"]


def test_a_file_that_was_cut_or_deleted_is_looked_at_anew(tmp_path: Path) -> None:
    written(tmp_path, [line(1), line(2)])
    archive = LogArchive(tmp_path, 0)
    assert archive.search(LogQuery(), limit=9).total == 2
    [file] = log_files(tmp_path)
    file.write_bytes(line(3).on_disk())
    assert messages(archive.search(LogQuery(), limit=9).lines) == ["line 3"]
    assert archive.search(LogQuery(), limit=9, offset=9) == ([], 1)
    file.unlink()
    assert archive.search(LogQuery(), limit=9) == ([], 0)


def test_there_need_be_no_directory(tmp_path: Path) -> None:
    assert LogArchive(tmp_path / "absent", 0).search(LogQuery(), limit=9) == ([], 0)


def test_a_search_that_takes_too_long_is_given_up_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, [line(number) for number in range(5000)])
    archive = LogArchive(tmp_path, 0)
    with monkeypatch.context() as patch:
        patch.setattr(archive_module, "_SEARCH_SECS", -1.0)
        with pytest.raises(UnavailableError, match="not searched within"):
            archive.search(LogQuery(), limit=1)
    assert archive.search(LogQuery(), limit=1).total == 5000


def test_the_index_stays_small_whatever_the_log_may_grow_to(tmp_path: Path) -> None:
    written(tmp_path, [line(number) for number in range(5000)])

    def blocks(archive: LogArchive) -> Any:
        assert archive.search(LogQuery(), limit=1).total == 5000
        return sum(len(segment.blocks) for segment in archive._segments.values())

    assert blocks(LogArchive(tmp_path, 0)) > 10
    assert blocks(LogArchive(tmp_path, 4096 << 20)) == 1
