"""Components of kept versions on disk: whole or not there, checked when read, gone when nobody needs them."""

import asyncio
import hashlib
import os
import threading
from pathlib import Path

import pytest

from prx.plugins.blobs import Blobs
from prx.plugins.errors import LoadError
from tests.support.processes import names_in

CONTENT = b"\0asm\x0d\0\x01\0"


def digest(content: bytes = CONTENT) -> str:
    return hashlib.sha256(content).hexdigest()


async def keep(blobs: Blobs, content: bytes = CONTENT) -> None:
    with blobs.copying() as copy:
        await copy.take(digest(content), content)
        await copy.written()


async def test_what_was_copied_is_read_back_also_by_the_next_daemon(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "generations")
    await blobs.open(set())
    assert not blobs.has(digest())
    await keep(blobs)
    assert await blobs.read(digest()) == CONTENT
    assert names_in(tmp_path / "generations") == [f"{digest()}.wasm"]
    again = Blobs(tmp_path / "generations")
    await again.open({digest()})
    assert again.has(digest())
    assert await again.read(digest()) == CONTENT


async def test_nothing_is_made_before_there_is_a_copy(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "generations")
    await blobs.open(set())
    await blobs.sweep(set)
    await blobs.aclose()
    assert names_in(tmp_path) == []


async def test_a_component_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    await keep(blobs)
    inode = (tmp_path / f"{digest()}.wasm").stat().st_ino
    with blobs.copying() as copy:
        await copy.take(digest(), CONTENT)
        assert not copy.is_new
        await copy.written()
    assert (tmp_path / f"{digest()}.wasm").stat().st_ino == inode


async def test_what_is_being_written_is_there_and_read_once_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, going = asyncio.Event(), threading.Event()
    loop, fsync = asyncio.get_running_loop(), os.fsync

    def slow_disk(descriptor: int) -> None:
        loop.call_soon_threadsafe(writes.set)
        going.wait()
        fsync(descriptor)

    monkeypatch.setattr("prx.plugins.blobs.os.fsync", slow_disk)
    blobs = Blobs(tmp_path)
    with blobs.copying() as copy:
        await copy.take(digest(), CONTENT)
        await writes.wait()
        assert blobs.has(digest())
        assert not blobs.is_written(digest())
        read = asyncio.ensure_future(blobs.read(digest()))
        await asyncio.sleep(0)
        going.set()
        assert await read == CONTENT


async def test_many_copies_at_once_of_one_component_are_one_file(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    await asyncio.gather(*(keep(blobs) for _ in range(20)))
    assert names_in(tmp_path) == [f"{digest()}.wasm"]


async def test_what_nobody_wants_is_removed_unless_a_load_holds_it(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    await keep(blobs, b"wanted")
    await keep(blobs, b"unwanted")
    with blobs.copying() as copy:
        await copy.take(digest(b"held"), b"held")
        await copy.written()
        await blobs.sweep(lambda: {digest(b"wanted")})
        assert names_in(tmp_path) == sorted(f"{digest(each)}.wasm" for each in (b"wanted", b"held"))
    await blobs.sweep(lambda: {digest(b"wanted")})
    assert names_in(tmp_path) == [f"{digest(b'wanted')}.wasm"]
    assert not blobs.has(digest(b"held"))


async def test_what_came_to_be_wanted_while_others_were_written_is_not_removed(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    wanted: set[str] = set()
    with blobs.copying() as copy:
        await copy.take(digest(), CONTENT)
        await asyncio.sleep(0)  # its turn to be written begins
        sweeping = asyncio.ensure_future(blobs.sweep(lambda: wanted))
        await asyncio.sleep(0)
        wanted.add(digest())
    await sweeping
    assert names_in(tmp_path) == [f"{digest()}.wasm"]


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), (b"other", "was changed on disk")])
async def test_a_copy_that_is_not_what_was_kept_is_refused(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    blobs = Blobs(tmp_path)
    await keep(blobs)
    path = tmp_path / f"{digest()}.wasm"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(LoadError, match=said):
        await blobs.read(digest())


async def test_a_disk_that_refuses_is_told_to_those_who_wait_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "generations").write_text("in the way")
    blobs = Blobs(tmp_path / "generations")
    with blobs.copying() as copy:
        await copy.take(digest(), CONTENT)
        with pytest.raises(OSError, match="exists"):
            await copy.written()
    assert not blobs.has(digest())
    (tmp_path / "generations").unlink()
    await keep(blobs)
    assert blobs.has(digest())


async def test_closing_lets_copies_be_finished(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    with blobs.copying() as copy:
        await copy.take(digest(), CONTENT)
    await blobs.aclose()
    assert names_in(tmp_path) == [f"{digest()}.wasm"]
