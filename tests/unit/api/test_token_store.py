"""Tokens on disk: made, checked, used, expired, revoked, and what happens when the file is not well."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prx.api import tokens_file
from prx.api.scopes import ALL_SCOPES, ROLES, WILDCARD
from prx.api.tokens import TokenStore
from prx.api.tokens_file import Token, TokensFile
from prx.core.errors import BadRequestError, NotFoundError, PrxError, UnavailableError


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def path(data_dir: Path) -> Path:
    return data_dir / "tokens.json"


@pytest.fixture
def cli(data_dir: Path) -> TokenStore:
    """Stand for a store of another process."""
    return TokenStore(data_dir)


@pytest.fixture
def daemon(data_dir: Path) -> TokenStore:
    return TokenStore(data_dir)


def test_a_token_is_256_random_bits_and_its_record_never_holds_it(cli: TokenStore, path: Path) -> None:
    secret, token = cli.create("laptop")
    assert re.fullmatch(r"prx_[A-Za-z0-9_-]{43}", secret)
    assert re.fullmatch(r"tok_[A-Za-z0-9_-]{16}", token.id)
    assert secret not in path.read_text()
    assert secret.removeprefix("prx_") not in path.read_text()


def test_the_file_is_for_its_owner_alone(cli: TokenStore, path: Path, data_dir: Path) -> None:
    cli.create("laptop")
    assert path.stat().st_mode & 0o777 == 0o600
    assert data_dir.stat().st_mode & 0o777 == 0o700


def test_a_token_counts_from_the_next_request_on(cli: TokenStore, daemon: TokenStore) -> None:
    assert daemon.authenticate("prx_before-there-was-a-file") is None
    secret, token = cli.create("laptop", role="viewer")
    found = daemon.authenticate(secret)
    assert found is not None
    assert found.id == token.id
    assert found.granted == ROLES["viewer"]


def test_a_revoked_token_is_refused_by_the_next_request(cli: TokenStore, daemon: TokenStore) -> None:
    kept, _ = cli.create("kept")
    lost, token = cli.create("lost")
    assert daemon.authenticate(lost) is not None
    assert cli.revoke(token.id).id == token.id
    assert daemon.authenticate(lost) is None
    assert daemon.authenticate(kept) is not None
    assert [left.name for left in cli.all()] == ["kept"]


def test_an_expired_token_is_refused_and_still_listed(cli: TokenStore, daemon: TokenStore) -> None:
    gone, _ = cli.create("gone", expires_in=timedelta(seconds=-1))
    live, _ = cli.create("live", expires_in=timedelta(hours=1))
    assert daemon.authenticate(gone) is None
    assert daemon.authenticate(live) is not None
    assert [token.name for token in cli.all()] == ["gone", "live"]


@pytest.mark.parametrize("wrong", ["", "prx_", "x" * 5000, "prx_\udc80\udcff", "prx_\0", "é"])
def test_nothing_but_the_token_itself_passes(cli: TokenStore, daemon: TokenStore, wrong: str) -> None:
    secret, _ = cli.create("laptop")
    for attempt in (wrong, secret[:-1], secret + "A", secret.removeprefix("prx_"), secret.swapcase()):
        assert daemon.authenticate(attempt) is None


def test_scopes_narrow_a_token_and_unknown_ones_are_refused(cli: TokenStore, path: Path) -> None:
    _, token = cli.create("ci", scopes=["tools:write"])
    assert token.granted == {"tools:write"}
    before = path.read_bytes()
    with pytest.raises(BadRequestError, match='unknown scope "tools:execute"'):
        cli.create("ci", scopes=["tools:execute"])
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines", "\x1b[31mred"])
def test_a_name_that_would_garble_the_list_is_refused(cli: TokenStore, name: str) -> None:
    with pytest.raises(BadRequestError, match="printable"):
        cli.create(name)


def test_revoking_an_unknown_token_says_where_to_look(cli: TokenStore) -> None:
    with pytest.raises(NotFoundError, match="prx auth list"):
        cli.revoke("tok_unknown")


def test_last_use_is_kept_in_memory_until_it_is_flushed(cli: TokenStore, daemon: TokenStore) -> None:
    secret, _ = cli.create("laptop")
    started = datetime.now(UTC) - timedelta(milliseconds=1)
    daemon.authenticate(secret)
    assert cli.all()[0].last_used is None
    asyncio.run(daemon.aclose())
    last_used = cli.all()[0].last_used
    assert last_used is not None
    assert started <= last_used <= datetime.now(UTC)


def test_flushing_neither_revives_a_revoked_token_nor_loses_a_new_one(
    cli: TokenStore, daemon: TokenStore
) -> None:
    secret, token = cli.create("lost")
    daemon.authenticate(secret)
    cli.revoke(token.id)
    other, _ = cli.create("new")
    asyncio.run(daemon.aclose())
    assert [left.name for left in cli.all()] == ["new"]
    assert daemon.authenticate(other) is not None


def test_flushing_writes_nothing_when_no_token_was_used(
    cli: TokenStore, daemon: TokenStore, path: Path
) -> None:
    cli.create("laptop")
    before = path.stat()
    asyncio.run(daemon.aclose())
    assert path.stat() == before


def test_a_use_that_could_not_be_written_is_written_later(
    cli: TokenStore, daemon: TokenStore, path: Path
) -> None:
    secret, _ = cli.create("laptop")
    good = path.read_bytes()
    daemon.authenticate(secret)
    path.write_bytes(b"not json")
    asyncio.run(daemon.aclose())
    path.write_bytes(good)
    asyncio.run(daemon.aclose())
    assert cli.all()[0].last_used is not None


def damaged_by(change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    def apply(content: bytes) -> bytes:
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[:-10],
        lambda _: b"\xff\xfe\x00",
        lambda _: b"[]",
        damaged_by(lambda document: document.update(version=2)),
        damaged_by(lambda document: document["tokens"][0].update(role="root")),
        damaged_by(lambda document: document["tokens"][0].update(hash="abc")),
        damaged_by(lambda document: document["tokens"][0].update(expires="tomorrow")),
        damaged_by(lambda document: document["tokens"][0].pop("id")),
    ],
)
def test_a_damaged_file_refuses_every_token_until_it_is_repaired(
    cli: TokenStore, daemon: TokenStore, path: Path, damage: Callable[[bytes], bytes]
) -> None:
    secret, _ = cli.create("laptop")
    good = path.read_bytes()
    assert daemon.authenticate(secret) is not None
    path.write_bytes(damage(good))
    assert daemon.authenticate(secret) is None
    with pytest.raises(PrxError, match="not a tokens file"):
        cli.all()
    with pytest.raises(PrxError, match="prx auth token"):
        cli.create("another")
    assert path.read_bytes() == damage(good), "a writer leaves a file alone that it does not understand"
    path.write_bytes(good)
    assert daemon.authenticate(secret) is not None


def test_a_file_that_cannot_be_opened_refuses_every_token(
    cli: TokenStore, daemon: TokenStore, path: Path
) -> None:
    secret, _ = cli.create("laptop")
    path.unlink()
    path.mkdir()
    assert daemon.authenticate(secret) is None
    with pytest.raises(PrxError, match="cannot be read"):
        cli.all()


def test_a_data_directory_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    store = TokenStore(tmp_path / "data")
    with pytest.raises(PrxError, match=r"tokens\.json: cannot be written"):
        store.create("laptop")
    assert store.authenticate("prx_any") is None


def test_what_a_killed_writer_left_behind_harms_nobody(cli: TokenStore, data_dir: Path) -> None:
    cli.create("first")
    (data_dir / "tokens.tmp").write_bytes(b'{"version": 1, "tok')
    cli.create("second")
    assert [token.name for token in cli.all()] == ["first", "second"]


def test_a_full_file_is_refused_before_it_would_lock_everybody_out(
    cli: TokenStore, daemon: TokenStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, _ = cli.create("first")
    monkeypatch.setattr(tokens_file, "_MAX_FILE_BYTES", 400)
    with pytest.raises(PrxError, match="would be larger"):
        TokenStore(data_dir).create("second")
    assert daemon.authenticate(secret) is not None


def test_a_writer_that_finds_the_file_locked_gives_up_in_bounded_time(
    cli: TokenStore, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody lets go of it: the wait is only paid.
    monkeypatch.setattr(tokens_file, "_LOCK_WAIT_SECS", 0.05)
    with (
        TokensFile(data_dir / "tokens.json").editing(),
        pytest.raises(UnavailableError, match="locked by another"),
    ):
        TokenStore(data_dir).create("second")
    cli.create("third")


def test_writers_in_several_processes_lose_nothing_of_each_other(cli: TokenStore, data_dir: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from prx.api.tokens import TokenStore\n"
        "store = TokenStore(Path(sys.argv[1]))\n"
        "for n in range(10):\n"
        "    store.revoke(store.create(f'gone-{n}')[1].id)\n"
        "    store.create(f'{sys.argv[2]}-{n}')\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, data_dir, who]) for who in ("a", "b", "c")]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert sorted(token.name for token in cli.all()) == sorted(
        f"{who}-{n}" for who in "abc" for n in range(10)
    )


moments = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - hypothesis wants naive bounds
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
records = st.builds(
    Token,
    id=st.text(max_size=30),
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=100),
    role=st.sampled_from(list(ROLES)),
    hash=st.text("0123456789abcdef", min_size=64, max_size=64),
    created=moments,
    scopes=st.none() | st.lists(st.sampled_from([*sorted(ALL_SCOPES), WILDCARD])),
    expires=st.none() | moments,
    last_used=st.none() | moments,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tokens=st.lists(records, max_size=5))
def test_what_is_written_is_read_again(tmp_path: Path, tokens: list[Token]) -> None:
    file = TokensFile(tmp_path / "tokens.json")
    with file.editing() as stored:
        stored[:] = tokens
    assert file.read() == tokens
