"""`prx:host/kv`: durable, each plugin's own, within its quota."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.errors import BadRequestError, UnavailableError
from prx.plugins.calls import Call
from prx.plugins.host.kv import KeyValue
from prx.runtime.store import Store
from tests.support.calls import call_of

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
async def kv(tmp_path: Path) -> AsyncIterator[KeyValue]:
    store = await Store.open(tmp_path / "store.db")
    yield KeyValue(store)
    await store.aclose()


async def refused(work: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(BadRequestError) as caught:
        await asyncio.to_thread(work, *arguments)
    return caught.value.message


async def test_what_is_set_is_got_until_it_is_deleted(kv: KeyValue) -> None:
    call = call_of()

    def use() -> list[Any]:
        kv.set(call, "key", b"\0value\xff")
        seen = [kv.get(call, "key"), kv.get(call, "other"), kv.list_keys(call, "")]
        kv.set(call, "key", b"")
        return [
            *seen,
            kv.get(call, "key"),
            kv.delete(call, "key"),
            kv.delete(call, "key"),
            kv.get(call, "key"),
        ]

    assert await asyncio.to_thread(use) == [b"\0value\xff", None, ["key"], b"", True, False, None]


async def test_values_outlive_the_store_that_wrote_them(tmp_path: Path) -> None:
    for value in (None, b"kept"):
        store = await Store.open(tmp_path / "store.db")
        assert await asyncio.to_thread(KeyValue(store).get, call_of(), "key") == value
        await asyncio.to_thread(KeyValue(store).set, call_of(), "key", b"kept")
        await store.aclose()


async def test_a_plugin_sees_and_deletes_only_its_own(kv: KeyValue) -> None:
    one, two = call_of("one"), call_of("two")

    def use() -> None:
        kv.set(one, "key", b"1")
        assert kv.get(two, "key") is None
        assert kv.list_keys(two, "") == []
        assert kv.delete(two, "key") is False
        kv.set(two, "key", b"2")
        assert (kv.get(one, "key"), kv.get(two, "key")) == (b"1", b"2")

    await asyncio.to_thread(use)


async def test_the_quota_counts_keys_and_values_on_insert_and_overwrite(kv: KeyValue) -> None:
    call = call_of(max_kv_bytes=100)
    await asyncio.to_thread(kv.set, call, "é", b"x" * 48)  # 2 + 48
    await asyncio.to_thread(kv.set, call, "ab", b"x" * 48)  # 2 + 48: full
    assert await refused(kv.set, call, "c", b"") == (
        "the plugin's store is full: 101 bytes needed, 100 allowed (max_kv_storage_kb)"
    )
    assert "101 bytes needed" in await refused(kv.set, call, "ab", b"x" * 49)
    assert await asyncio.to_thread(kv.get, call, "ab") == b"x" * 48
    await asyncio.to_thread(kv.set, call, "ab", b"y" * 48)
    await asyncio.to_thread(kv.set, call, "ab", b"y" * 10)
    await asyncio.to_thread(kv.set, call, "c", b"z" * 37)
    await asyncio.to_thread(kv.delete, call, "é")
    await asyncio.to_thread(kv.set, call, "d", b"z" * 49)
    assert "101 bytes needed" in await refused(kv.set, call, "e", b"")


async def test_the_quota_of_one_plugin_is_not_anothers(kv: KeyValue) -> None:
    await asyncio.to_thread(kv.set, call_of("one"), "key", b"x" * 1000)
    await asyncio.to_thread(kv.set, call_of("two", max_kv_bytes=100), "key", b"x" * 97)


async def test_quotas_hold_when_many_write_at_once(kv: KeyValue) -> None:
    call = call_of(max_kv_bytes=1000)
    writes = [asyncio.to_thread(kv.set, call, f"key-{number:02}", b"x" * 94) for number in range(30)]
    ended = await asyncio.gather(*writes, return_exceptions=True)
    assert ended.count(None) == 10
    assert sum(isinstance(end, BadRequestError) for end in ended) == 20


@pytest.mark.parametrize("key", ["", "é" * 257])
async def test_a_key_has_1_to_512_bytes(key: str, kv: KeyValue) -> None:
    call = call_of()
    for work, arguments in ((kv.get, ()), (kv.set, (b"",)), (kv.delete, ())):
        assert "a key has 1 to 512 bytes" in await refused(work, call, key, *arguments)


async def test_a_value_has_1_mib_at_most(kv: KeyValue) -> None:
    call = call_of(max_kv_bytes=10**9)
    await asyncio.to_thread(kv.set, call, "é" * 256, b"x" * 1024 * 1024)
    assert "a value may have 1048576 bytes" in await refused(kv.set, call, "key", b"x" * (1024 * 1024 + 1))


async def test_keys_are_listed_by_prefix_in_order_with_any_character_in_them(kv: KeyValue) -> None:
    call = call_of()
    keys = ["a", "a\0", "a\0b", "a%", "a_", "aé", "b", "B", "\0", "😀", "a" * 512]

    def use() -> None:
        for key in keys:
            kv.set(call, key, b"")
            assert kv.get(call, key) == b""
        for prefix in ("", "a", "a\0", "a\0b", "a%", "A", "é", "aé", "\0", "😀", "zzz"):
            assert kv.list_keys(call, prefix) == sorted(key for key in keys if key.startswith(prefix)), prefix

    await asyncio.to_thread(use)


async def test_more_keys_than_a_guest_takes_at_once_are_an_error(
    kv: KeyValue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prx.plugins.host.kv._MAX_LISTED_KEYS", 3)
    call = call_of()
    for key in ("a1", "a2", "b1", "b2"):
        await asyncio.to_thread(kv.set, call, key, b"")
    assert "more than 3 keys: list them by longer prefixes" in await refused(kv.list_keys, call, "")
    assert await asyncio.to_thread(kv.list_keys, call, "a") == ["a1", "a2"]


async def test_a_call_does_not_wait_for_the_store_beyond_its_time(tmp_path: Path) -> None:
    store, begun, free = await Store.open(tmp_path / "store.db"), threading.Event(), threading.Event()

    def block(_db: sqlite3.Connection) -> bool:
        begun.set()
        return free.wait(30)

    busy = asyncio.ensure_future(store.run(block))
    await asyncio.to_thread(begun.wait, 30)
    with pytest.raises(UnavailableError, match=r"did not answer within .* s"):
        await asyncio.to_thread(KeyValue(store).get, call_of(max_execution_secs=0.05), "key")
    free.set()
    assert await busy
    await store.aclose()


Step = tuple[str, str, bytes]
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set", "delete", "get", "list"]),
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=3),
        st.binary(max_size=30),
    ),
    max_size=30,
)


@given(steps=_STEPS)
async def test_it_behaves_as_a_dictionary_with_a_quota(
    steps: list[Step], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = await Store.open(tmp_path_factory.mktemp("kv") / "store.db")
    await asyncio.to_thread(_compare, KeyValue(store), steps)
    await store.aclose()


def _compare(kv: KeyValue, steps: list[Step]) -> None:
    call, model = call_of(max_kv_bytes=60), dict[str, bytes]()
    for what, key, value in steps:
        match what:
            case "set":
                after = model | {key: value}
                fits = sum(len(k.encode()) + len(v) for k, v in after.items()) <= 60
                assert _fits(kv, call, key, value) is fits
                model = after if fits else model
            case "delete":
                assert kv.delete(call, key) is (model.pop(key, None) is not None)
            case "get":
                assert kv.get(call, key) == model.get(key)
            case _:
                assert kv.list_keys(call, key[:1]) == sorted(k for k in model if k.startswith(key[:1]))


def _fits(kv: KeyValue, call: Call, key: str, value: bytes) -> bool:
    try:
        kv.set(call, key, value)
    except BadRequestError:
        return False
    return True
