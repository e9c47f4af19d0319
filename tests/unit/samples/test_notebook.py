"""The work of the sample notes, in a key-value store that is a dictionary."""

import json
import runpy
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema_rs
import pytest

_SOURCE = Path(__file__).parents[3] / "plugins/notes/notebook.py"
notes = SimpleNamespace(**runpy.run_path(str(_SOURCE)))


class DictionaryStore:
    """`prx:host/kv`, as long as the process lives."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def set(self, key: str, value: bytes) -> None:
        self.values[key] = value

    def delete(self, key: str) -> bool:
        return self.values.pop(key, None) is not None

    def list_keys(self, prefix: str) -> list[str]:
        return [key for key in self.values if key.startswith(prefix)]


@pytest.fixture
def store() -> DictionaryStore:
    return DictionaryStore()


@pytest.fixture
def notebook(store: DictionaryStore) -> Any:
    seconds = count()
    return notes.Notebook(store, lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(seconds)))


def _titles(answer: dict[str, Any]) -> list[str]:
    return [note["title"] for note in answer["notes"]]


def test_a_note_can_be_read_back_by_a_later_notebook(notebook: Any, store: DictionaryStore) -> None:
    added = notebook.serve({"action": "add", "text": "Buy milk\nand bread", "tags": ["shop", "home", "shop"]})
    assert added["title"] == "Buy milk"
    assert notes.Notebook(store).serve({"action": "get", "id": added["id"]}) == {
        "id": added["id"],
        "created": "2026-01-01T00:00:00.000000+00:00",
        "tags": ["home", "shop"],
        "text": "Buy milk\nand bread",
    }


def test_notes_are_listed_newest_first_up_to_the_limit(notebook: Any) -> None:
    for text in ("one", "two", "three"):
        notebook.serve({"action": "add", "text": text})
    answer = notebook.serve({"action": "list", "limit": 2})
    assert (_titles(answer), answer["total"]) == (["three", "two"], 3)


def test_search_wants_every_word_in_any_case_and_order(notebook: Any) -> None:
    for text in ("Straße nach Rom", "Rom", "Strand"):
        notebook.serve({"action": "add", "text": text})
    assert _titles(notebook.serve({"action": "search", "query": "rom STRASSE"})) == ["Straße nach Rom"]


def test_tags_narrow_a_list_and_a_search(notebook: Any) -> None:
    notebook.serve({"action": "add", "text": "milk", "tags": ["shop", "home"]})
    notebook.serve({"action": "add", "text": "milk teeth", "tags": ["home"]})
    assert _titles(notebook.serve({"action": "list", "tags": ["home", "shop"]})) == ["milk"]
    assert _titles(notebook.serve({"action": "search", "query": "milk", "tags": ["shop"]})) == ["milk"]


def test_a_deleted_note_is_gone(notebook: Any, store: DictionaryStore) -> None:
    note_id = notebook.serve({"action": "add", "text": "x"})["id"]
    assert notebook.serve({"action": "delete", "id": note_id}) == {"deleted": note_id}
    assert store.values == {}
    for action in ("get", "delete"):
        with pytest.raises(notes.NoteError, match=f'there is no note "{note_id}"'):
            notebook.serve({"action": action, "id": note_id})


def test_the_notebook_touches_no_keys_but_its_own(notebook: Any, store: DictionaryStore) -> None:
    store.set("other", b"not a note")
    assert notebook.serve({"action": "list"}) == {"notes": [], "total": 0}


def test_a_long_title_is_cut(notebook: Any) -> None:
    title = notebook.serve({"action": "add", "text": "\n" + "x" * 100})["title"]
    assert title == "x" * 79 + "…"


def test_a_note_that_is_too_long_is_refused(notebook: Any, store: DictionaryStore) -> None:
    with pytest.raises(notes.NoteError, match="16386 bytes, at most 16384"):
        notebook.serve({"action": "add", "text": "é" * 8193})
    assert store.values == {}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ([], "must be a JSON object"),
        ({}, "action is missing, it must be one of add, list"),
        ({"action": "fly"}, 'action is "fly", it must be one of add, list'),
        ({"action": ["add"]}, "it must be one of"),
        ({"action": "add"}, 'the action "add" needs text'),
        ({"action": "add", "text": " \n"}, "a text that is not blank"),
        ({"action": "add", "text": 5}, "text is 5"),
        ({"action": "add", "text": "x", "tags": ["a", 1]}, "it must be a list of texts"),
        ({"action": "get"}, 'the action "get" needs id'),
        ({"action": "delete"}, 'the action "delete" needs id'),
        ({"action": "search"}, 'the action "search" needs query'),
        ({"action": "list", "limit": 0}, "a whole number from 1 to 100"),
        ({"action": "list", "limit": True}, "a whole number from 1 to 100"),
        ({"action": "list", "bogus": 1}, 'no argument "bogus"; there are action, text'),
    ],
)
def test_a_wrong_request_is_refused_with_the_reason(request_: Any, reason: str, notebook: Any) -> None:
    with pytest.raises(notes.NoteError, match=reason):
        notebook.serve(request_)


def test_the_schema_is_a_json_schema_that_takes_a_good_request() -> None:
    schema = json.loads(json.dumps(notes.SCHEMA))
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert validator.is_valid({"action": "add", "text": "x", "tags": ["a"]})
    assert not validator.is_valid({"action": "fly"})
