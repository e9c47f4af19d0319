"""The work behind the tool: notes in a key-value store, found by words, in the order they were written."""
# ruff: noqa: INP001  # a plugin's directory is what componentize-py puts on the path, not a package

import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

_KEY_PREFIX = "note:"
_MAX_TEXT_BYTES = 16 * 1024
_TITLE_LENGTH = 80
_DEFAULT_LIMIT = 20
_MAX_LIMIT = 100

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "action": {
            "type": "string",
            "enum": ["add", "list", "get", "search", "delete"],
            "description": "add: needs text. list: newest first. get, delete: need id. search: needs query.",
        },
        "text": {"type": "string", "description": "The note; its first line is its title."},
        "tags": {
            "type": "array",
            "items": {"type": "string"},
            "description": "add: words to file it under. list, search: only notes with all of these.",
        },
        "id": {"type": "string", "description": "As add, list and search return it."},
        "query": {"type": "string", "description": "Words that must all occur, in any case and order."},
        "limit": {"type": "integer", "minimum": 1, "maximum": _MAX_LIMIT, "default": _DEFAULT_LIMIT},
    },
    "required": ["action"],
    "additionalProperties": False,
}


class NoteError(Exception):
    """The request cannot be served, in words fit for the caller."""


class KeyValues(Protocol):
    """What the notebook needs of `prx:host/kv`."""

    def get(self, key: str) -> bytes | None: ...
    def set(self, key: str, value: bytes) -> None: ...
    def delete(self, key: str) -> bool: ...
    def list_keys(self, prefix: str) -> list[str]: ...


class Notebook:
    """Notes in a key-value store: one key for each note, so that concurrent calls do not overwrite each other."""

    def __init__(self, values: KeyValues, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._values = values
        self._now = now

    def serve(self, request: Any) -> Any:
        """Do what `request`, an object after `SCHEMA`, asks for, and return the answer as JSON.

        Raises:
            NoteError: the request is wrong, or the note is not there.
        """
        fields = _checked(request)
        tags = fields.get("tags", [])
        limit = fields.get("limit", _DEFAULT_LIMIT)
        match fields["action"]:
            case "add":
                return self._add(_needed(fields, "text"), tags)
            case "list":
                return self._found([], tags, limit)
            case "search":
                return self._found(_needed(fields, "query").casefold().split(), tags, limit)
            case "get":
                return self._get(_needed(fields, "id"))
            case _:
                return self._delete(_needed(fields, "id"))

    def _add(self, text: str, tags: list[str]) -> dict[str, Any]:
        if (size := len(text.encode())) > _MAX_TEXT_BYTES:
            raise NoteError(f"the note has {size} bytes, at most {_MAX_TEXT_BYTES} are allowed; split it")
        note_id = secrets.token_hex(4)
        while self._values.get(_KEY_PREFIX + note_id) is not None:
            note_id = secrets.token_hex(4)
        note = {"id": note_id, "created": self._now().isoformat(timespec="microseconds")}
        note |= {"tags": sorted(set(tags)), "text": text}
        self._values.set(_KEY_PREFIX + note_id, json.dumps(note, ensure_ascii=False).encode())
        return _summary(note)

    def _get(self, note_id: str) -> dict[str, Any]:
        stored = self._values.get(_KEY_PREFIX + note_id)
        if stored is None:
            raise _not_there(note_id)
        return json.loads(stored)

    def _delete(self, note_id: str) -> dict[str, Any]:
        if not self._values.delete(_KEY_PREFIX + note_id):
            raise _not_there(note_id)
        return {"deleted": note_id}

    def _found(self, words: list[str], tags: list[str], limit: int) -> dict[str, Any]:
        matching = [
            note
            for note in self._all()
            if set(tags) <= set(note["tags"]) and all(word in note["text"].casefold() for word in words)
        ]
        matching.sort(key=lambda note: note["created"], reverse=True)
        return {"notes": [_summary(note) for note in matching[:limit]], "total": len(matching)}

    def _all(self) -> list[dict[str, Any]]:
        values = (self._values.get(key) for key in self._values.list_keys(_KEY_PREFIX))
        # A concurrent call may have deleted one since its key was listed.
        return [json.loads(value) for value in values if value is not None]


def _checked(request: Any) -> dict[str, Any]:
    if not isinstance(request, dict):
        raise NoteError("the arguments must be a JSON object")
    properties = SCHEMA["properties"]
    for name, value in request.items():
        if name not in properties:
            raise NoteError(f'there is no argument "{name}"; there are {", ".join(properties)}')
        if not _fits(name, value):
            raise NoteError(f"{name} is {json.dumps(value)[:80]}, it must be {_EXPECTED[name]}")
    if "action" not in request:
        raise NoteError(f"action is missing, it must be {_EXPECTED['action']}")
    return request


_EXPECTED = {
    "action": "one of " + ", ".join(SCHEMA["properties"]["action"]["enum"]),
    "text": "a text that is not blank",
    "tags": "a list of texts",
    "id": "the id of a note",
    "query": "a text that is not blank",
    "limit": f"a whole number from 1 to {_MAX_LIMIT}",
}


def _fits(name: str, value: Any) -> bool:
    match name:
        case "action":
            return value in SCHEMA["properties"]["action"]["enum"]
        case "tags":
            return isinstance(value, list) and all(isinstance(tag, str) for tag in value)
        case "limit":
            return type(value) is int and 1 <= value <= _MAX_LIMIT
        case _:
            return isinstance(value, str) and bool(value.strip())


def _needed(fields: Mapping[str, Any], name: str) -> Any:
    if name not in fields:
        raise NoteError(f'the action "{fields["action"]}" needs {name}, {_EXPECTED[name]}')
    return fields[name]


def _not_there(note_id: str) -> NoteError:
    return NoteError(f'there is no note "{note_id}"; the action "list" shows those there are')


def _summary(note: Mapping[str, Any]) -> dict[str, Any]:
    title = note["text"].strip().splitlines()[0]
    shown = title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1] + "…"
    return {"id": note["id"], "title": shown, "tags": note["tags"], "created": note["created"]}
