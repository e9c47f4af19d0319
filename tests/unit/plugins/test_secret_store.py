"""The secret store: encrypted, bound to its names, and silent about what it keeps."""

import base64
import json
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.errors import BadRequestError, ForbiddenError, NotFoundError, PrxError
from prx.plugins.secrets import SecretStore

VALUE = "hunter2-is-no-secret"


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path)


def test_a_secret_is_there_for_every_plugin_after_a_restart_and_gone_once_removed(tmp_path: Path) -> None:
    SecretStore(tmp_path).set("KEY", VALUE)
    assert SecretStore(tmp_path).value("KEY", "weather") == VALUE
    SecretStore(tmp_path).set("KEY", "another")
    assert SecretStore(tmp_path).value("KEY", "weather") == "another"
    SecretStore(tmp_path).remove("KEY")
    with pytest.raises(NotFoundError, match="prx secret set KEY"):
        SecretStore(tmp_path).value("KEY", "weather")


def test_no_file_holds_the_value_and_only_the_owner_reads_them(store: SecretStore, tmp_path: Path) -> None:
    store.set("KEY", VALUE)
    store.set("KEY2", VALUE)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert VALUE.encode() not in content
        assert base64.b64encode(VALUE.encode())[:-4] not in content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, second = (
        secret["sealed"] for secret in json.loads((tmp_path / "secrets.json").read_text())["secrets"]
    )
    assert first != second


def test_a_secret_may_be_kept_for_some_plugins(store: SecretStore) -> None:
    store.set("KEY", VALUE, ["weather", "news"])
    assert store.value("KEY", "news") == VALUE
    with pytest.raises(ForbiddenError, match='the secret "KEY" is not for the plugin "evil"'):
        store.value("KEY", "evil")
    assert [(secret.name, secret.plugins) for secret in store.all()] == [("KEY", ["news", "weather"])]


def edited(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "secrets.json"
    document = json.loads(path.read_text())
    a, b = document["secrets"]
    match edit:
        case "swapped":
            a["sealed"], b["sealed"] = b["sealed"], a["sealed"]
        case "opened to all":
            a["plugins"] = []
        case "flipped":
            a["sealed"] = (
                base64.b64encode(bytes([base64.b64decode(a["sealed"])[0] ^ 1])).decode() + a["sealed"][4:]
            )
        case "cut":
            a["sealed"] = a["sealed"][:8]
        case "no base64":
            a["sealed"] = "%"
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("edit", ["swapped", "opened to all", "flipped", "cut", "no base64"])
def test_a_secret_that_was_tampered_with_does_not_open(edit: str, store: SecretStore, tmp_path: Path) -> None:
    store.set("A", VALUE, ["weather"])
    store.set("B", "other", ["weather"])
    edited(tmp_path, edit)
    with pytest.raises(PrxError, match="was changed, or sealed with another key"):
        store.value("A", "weather")


def test_another_key_opens_nothing_and_no_new_one_is_made_over_old_secrets(
    store: SecretStore, tmp_path: Path
) -> None:
    store.set("A", VALUE)
    key = tmp_path / "secrets.key"
    kept = key.read_bytes()
    key.unlink()
    for attempt in (lambda: store.value("A", "p"), lambda: store.set("B", "x")):
        with pytest.raises(PrxError, match=r"secrets\.key is missing: restore it from a backup"):
            attempt()
    key.touch(0o600)
    with pytest.raises(PrxError, match=r"secrets\.key is damaged"):
        store.value("A", "p")
    key.write_bytes(base64.b64encode(bytes(32)))
    with pytest.raises(PrxError, match="sealed with another key"):
        store.value("A", "p")
    key.write_bytes(kept)
    assert store.value("A", "p") == VALUE


@pytest.mark.parametrize(
    "content", [b"", b"{}[", b'{"version": 2}', b'{"secrets": [{"name": "x"}]}', b"\xff"]
)
def test_a_file_that_is_no_secrets_file_is_an_error_that_repeats_nothing(
    content: bytes, store: SecretStore, tmp_path: Path
) -> None:
    path = tmp_path / "secrets.json"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(PrxError, match=f"^{path}: not a secrets file: restore it"):
        store.all()


@pytest.mark.parametrize("name", ["", "1A", "a b", "a/b", "-a", "a" * 65, "a\n", "é", "a:b"])
def test_an_unfit_name_is_refused(name: str, store: SecretStore) -> None:
    with pytest.raises(BadRequestError, match="no name of a secret"):
        store.set(name, VALUE)


@pytest.mark.parametrize("value", ["", "x" * 65537, "é" * 32769])
def test_an_unfit_value_is_refused(value: str, store: SecretStore) -> None:
    with pytest.raises(BadRequestError, match="a secret has 1 to 65536 bytes"):
        store.set("KEY", value)


def test_an_unfit_plugin_is_refused(store: SecretStore) -> None:
    with pytest.raises(BadRequestError, match='"a b" is no name of a plugin'):
        store.set("KEY", VALUE, ["a b"])


def test_removing_what_is_not_there_is_an_error(store: SecretStore) -> None:
    with pytest.raises(NotFoundError, match="prx secret list"):
        store.remove("KEY")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_any_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    store = SecretStore(tmp_path_factory.getbasetemp() / "any-text")
    store.set("KEY", value)
    assert store.value("KEY", "p") == value


def test_writers_at_the_same_time_lose_nothing(store: SecretStore) -> None:
    threads = [threading.Thread(target=store.set, args=(f"K{number}", VALUE)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {secret.name for secret in store.all()} == {f"K{number}" for number in range(12)}
    assert {store.value(f"K{number}", "p") for number in range(12)} == {VALUE}


def test_a_daemon_without_secrets_does_not_load_the_cipher() -> None:
    code = "import sys, prx.plugins.secrets, prx.plugins.host.http; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"


def test_what_is_kept_for_a_plugin_that_goes_goes_with_it_and_what_others_use_stays(
    store: SecretStore,
) -> None:
    store.set("OWN", VALUE, ["weather"])
    store.set("SHARED", VALUE, ["weather", "radar"])
    store.set("OTHER", VALUE, ["radar"])
    store.set("FOR_ALL", VALUE)
    store.forget_plugin("weather")
    assert {secret.name: secret.plugins for secret in store.all()} == {
        "SHARED": ["radar"], "OTHER": ["radar"], "FOR_ALL": [],
    }  # fmt: skip
    assert store.value("SHARED", "radar") == VALUE
    with pytest.raises(ForbiddenError):
        store.value("SHARED", "weather")
    before = (store.all(), store.forget_plugin("nobody"), store.all())
    assert before[0] == before[2]
