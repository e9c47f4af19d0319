"""Compiled code is only trusted as this daemon left it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from prx.core.errors import PrxError
from prx.plugins import cache as cache_module
from prx.plugins.cache import Cache, cache_key

KEY = cache_key("0" * 64, fuel=False)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def store(cache: Cache, key: str = KEY, content: bytes = b"machine code") -> Path:
    compiled = cache.new_file()
    compiled.write_bytes(content)
    return cache.store(key, compiled)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_stored_is_found_again_also_by_the_next_daemon(cache: Cache, tmp_path: Path) -> None:
    assert cache.lookup(KEY) is None
    path = store(cache)
    assert path.read_bytes() == b"machine code"
    assert cache.lookup(KEY) == Cache(tmp_path / "cache").lookup(KEY) == path


def test_only_the_daemons_user_can_read_or_write_any_of_it(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        cache = Cache(tmp_path / "cache")
        store(cache)
    finally:
        os.umask(before)
    assert mode(tmp_path / "cache") == 0o700
    assert {mode(path) for path in (tmp_path / "cache").iterdir()} == {0o600}
    assert len(list((tmp_path / "cache").iterdir())) == 3


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xc3\xa9" * 20)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("suffix", [".cwasm", ".sig"])
@pytest.mark.parametrize("change", [_flip, _cut, _append, _empty, _not_text, _directory, Path.unlink])
def test_a_changed_file_is_never_used(
    suffix: str, change: Callable[[Path], None], cache: Cache, tmp_path: Path
) -> None:
    store(cache)
    change(tmp_path / "cache" / f"{KEY}{suffix}")
    assert cache.lookup(KEY) is None


@pytest.mark.parametrize("change", [_flip, _cut, _append, _empty, Path.unlink])
def test_without_its_key_nothing_is_trusted(
    change: Callable[[Path], None], cache: Cache, tmp_path: Path
) -> None:
    store(cache)
    change(tmp_path / "cache" / "key")
    after = Cache(tmp_path / "cache")
    assert after.lookup(KEY) is None
    store(after)
    assert Cache(tmp_path / "cache").lookup(KEY) is not None


def test_a_file_is_not_taken_for_another(cache: Cache, tmp_path: Path) -> None:
    """Both files of one component under the name of another: the signature says what it was made from."""
    store(cache)
    other = cache_key("1" * 64, fuel=False)
    for suffix in (".cwasm", ".sig"):
        (tmp_path / "cache" / f"{KEY}{suffix}").rename(tmp_path / "cache" / f"{other}{suffix}")
    assert cache.lookup(other) is None


def test_a_name_says_all_that_the_code_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {KEY, cache_key("0" * 64, fuel=True), cache_key("1" * 64, fuel=False)}
    monkeypatch.setattr(cache_module, "PINNED_VERSION", "50.0.2")
    keys.add(cache_key("0" * 64, fuel=False))
    monkeypatch.setattr("platform.machine", lambda: "pdp11")
    keys.add(cache_key("0" * 64, fuel=False))
    assert len(keys) == 5
    assert all(key.isalnum() for key in keys)


def test_a_file_in_use_is_replaced_and_not_overwritten(cache: Cache) -> None:
    path = store(cache, content=b"old")
    with path.open("rb") as mapped:
        store(cache, content=b"new")
        assert mapped.read() == b"old"
    assert path.read_bytes() == b"new"


def test_the_files_used_longest_ago_go_first(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "_MAX_FILES", 2)
    keys = [cache_key(str(number), fuel=False) for number in range(3)]
    for age, key in ((100, keys[0]), (50, keys[1])):
        path = store(cache, key)
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    assert cache.lookup(keys[0]) is not None  # in use again
    store(cache, keys[2])
    assert [cache.lookup(key) is not None for key in keys] == [True, False, True]
    assert len(list((tmp_path / "cache").iterdir())) == 5


def test_the_cache_is_bounded_in_bytes(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_MAX_BYTES", 10)
    store(cache, KEY, b"12345678")
    other = cache_key("1" * 64, fuel=False)
    path = store(cache, other, b"123")
    assert cache.lookup(KEY) is None
    assert cache.lookup(other) == path


def test_what_a_killed_compiler_left_is_removed_at_the_next_start(cache: Cache, tmp_path: Path) -> None:
    path = store(cache)
    cache.new_file().write_bytes(b"half")
    assert Cache(tmp_path / "cache").lookup(KEY) == path
    assert list((tmp_path / "cache").glob("new-*")) == []


def test_dropped_code_is_gone(cache: Cache, tmp_path: Path) -> None:
    store(cache)
    for _ in range(2):
        cache.drop(KEY)
        assert cache.lookup(KEY) is None
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["key"]


def test_a_cache_that_is_no_directory_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(
        PrxError, match=r"compiled code .*cache cannot be used: File exists; make it a directory"
    ):
        Cache(tmp_path / "cache")
