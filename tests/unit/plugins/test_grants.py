"""Decisions and refusals: what a grant covers, over restarts, and a ledger that no guest can fill for others."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from prx.core.errors import BadRequestError
from prx.plugins.asked import Asked, Entries
from prx.plugins.grants import Grants, Ledger, check_decisions
from prx.plugins.settings import Decision
from prx.runtime.migrations import MIGRATIONS
from prx.runtime.store import Store

_KNOWN_BEFORE = 1  # steps of the schema before grants remembered what they cover


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "prx.db")
    yield store
    await store.aclose()


def asking(variables: Sequence[str]) -> Asked:
    return Asked(("env",), ("kv",), Entries(variables=tuple(variables)))


async def reread(store: Store) -> Grants:
    grants = Grants(store)
    await grants.load()
    return grants


async def test_a_grant_remembers_the_entries_that_were_asked_for(store: Store) -> None:
    grants = await reread(store)
    await grants.decide("weather", {"env": True, "kv": True}, asking(["A", "B"]))
    expected = {"env": Decision(allowed=True, covers=("A", "B")), "kv": Decision(allowed=True)}
    assert grants.decisions("weather") == expected
    assert (await reread(store)).decisions("weather") == expected


async def test_granting_again_covers_the_new_entries_too_and_revoking_forgets_all(store: Store) -> None:
    grants = await reread(store)
    await grants.decide("weather", {"env": True}, asking(["A", "B"]))
    await grants.decide("weather", {"env": True}, asking(["C", "B"]))
    assert (await reread(store)).decisions("weather")["env"].covers == ("C", "B", "A")
    await grants.decide("weather", {"env": False}, asking(["C"]))
    assert (await reread(store)).decisions("weather") == {"env": Decision(allowed=False)}
    await grants.decide("weather", {"env": True}, asking(["C"]))
    assert (await reread(store)).decisions("weather")["env"].covers == ("C",)


async def test_what_a_grant_remembers_is_bounded_and_the_newest_is_kept(store: Store) -> None:
    grants = await reread(store)
    for version in range(4):
        await grants.decide("weather", {"env": True}, asking([f"V{version}_{n}" for n in range(100)]))
    covers = grants.decisions("weather")["env"].covers
    assert covers is not None
    assert len(covers) == 256
    assert covers[0] == "V3_0"
    assert "V1_55" in covers
    assert "V1_56" not in covers


async def test_a_grant_without_known_files_covers_everything_until_it_is_given_again(store: Store) -> None:
    grants = await reread(store)
    await grants.decide("weather", {"env": True}, None)
    assert (await reread(store)).decisions("weather") == {"env": Decision(allowed=True)}
    await grants.decide("weather", {"env": True}, asking(["A"]))
    assert grants.decisions("weather")["env"].covers == ("A",)


async def test_decisions_and_refusals_of_an_older_version_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as db:
        for step in MIGRATIONS[:_KNOWN_BEFORE]:
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {_KNOWN_BEFORE}")
        db.execute("INSERT INTO plugin_grants VALUES ('weather', 'env', 1)")
        at = "2026-01-01T00:00:00Z"
        db.execute("INSERT INTO plugin_denials VALUES ('weather', 'kv', 'kv.get', 3, ?, ?)", (at, at))
    db.close()
    store = await Store.open(path)
    try:
        grants = await reread(store)
        assert grants.decisions("weather") == {"env": Decision(allowed=True)}
        [denial] = grants.ledger("weather").denials()
        assert (denial.operation, denial.count, denial.allow_with) == ("kv.get", 3, "")
    finally:
        await store.aclose()


@pytest.mark.parametrize(
    ("decisions", "why"),
    [
        ({"telepathy": True}, 'there is no permission "telepathy"'),
        ({"log": False}, '"log" cannot be revoked'),
        ({"kv": True, "memory": True}, 'plugin "weather" does not ask for "memory", but for env, kv'),
    ],
)
def test_decisions_that_make_no_sense_are_refused(decisions: dict[str, bool], why: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        check_decisions("weather", decisions, asking(["A"]))
    assert why in caught.value.message


def test_decisions_that_make_sense_are_taken() -> None:
    check_decisions("weather", {"env": True, "kv": False, "memory": False, "log": True}, asking(["A"]))
    check_decisions("weather", {"memory": True}, None)


def test_refusals_are_counted_with_the_newest_remedy() -> None:
    ledger = Ledger()
    ledger.note("env", "env A", "one")
    ledger.note("env", "env A", "other")
    [denial] = ledger.denials()
    assert (denial.count, denial.allow_with) == (2, "other")


def test_a_guest_that_tries_many_hosts_leaves_room_for_other_refusals() -> None:
    ledger = Ledger()
    for number in range(100):
        ledger.note("http-outbound", f"http-outbound.request https://h{number}/", "")
    assert len(ledger.denials()) == 32
    for number in range(100):
        ledger.note("env", f"env V{number}", "")
    ledger.note("kv", "kv.get", "")
    assert len(ledger.denials()) == 64
