"""The work behind the channel: a chat service that is nothing but JSON over HTTP, and what its answers mean."""
# ruff: noqa: INP001  # a plugin's directory is what componentize-py puts on the path, not a package

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

_DEFAULT_RETRY_MS = 1000
MAX_FILE_BYTES = 512 * 1024
"""Of a file, both ways: in base64 it still fits into the body of a request, of which the host sends 1 MiB."""


class RelayError(Exception):
    """Something did not work; `case` is one of the world's `channel-error`."""

    def __init__(self, case: str, message: str, retry_after_ms: int = 0) -> None:
        super().__init__(message)
        self.case = case
        self.retry_after_ms = retry_after_ms


class Answer(NamedTuple):
    """What the service answered."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class File(NamedTuple):
    """A file that is sent."""

    name: str
    media_type: str
    content: bytes


class Request(Protocol):
    """Sends one request; raises RelayError `unavailable` where no answer comes."""

    def __call__(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> Answer: ...


class Relay:
    """The service at one address, for one bot."""

    def __init__(self, request: Request, url: str, token: str) -> None:
        self._request = request
        self._url = url.rstrip("/")
        self._headers = [("authorization", f"Bearer {token}"), ("content-type", "application/json")]

    def see(self) -> None:
        """Make a round trip to the service."""
        self._ask("GET", "/me")

    def news(self, cursor: str | None, wait_ms: int) -> tuple[list[dict[str, Any]], str]:
        """Return what came after `cursor`, and where to go on; without one nothing, and where now is."""
        where = "" if cursor is None else f"?after={quote(cursor, safe='')}&wait={wait_ms}"
        said = self._ask("GET", f"/messages{where}")
        return said["messages"], said["cursor"]

    def say(
        self, room: str, text: str, reply_to: str | None, key: str | None, file: File | None = None
    ) -> str:
        """Post a message and return its id; what comes again under its key the service has already."""
        said: dict[str, Any] = {"room": room, "text": text, "reply_to": reply_to, "key": key}
        if file is not None:
            content = base64.b64encode(file.content).decode()
            said["file"] = {"name": file.name, "type": file.media_type, "content": content}
        return self._ask("POST", "/messages", said)["id"]

    def fetch(self, file_id: str, max_bytes: int) -> bytes:
        """Return the content of a file that came with a message."""
        content = self._answer("GET", f"/files/{quote(file_id, safe='')}")
        if len(content) > max_bytes:
            raise RelayError("file_too_large", f"the file has {len(content)} bytes")
        return content

    def change(self, message_id: str, text: str) -> None:
        """Have a message say something else."""
        self._ask("PUT", f"/messages/{quote(message_id, safe='')}", {"text": text})

    def type_in(self, room: str) -> None:
        """Show that an answer is being written."""
        self._ask("POST", "/typing", {"room": room})

    def _ask(self, method: str, path: str, what: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return _object(self._answer(method, path, what))

    def _answer(self, method: str, path: str, what: Mapping[str, Any] | None = None) -> bytes:
        body = None if what is None else json.dumps(what).encode()
        status, headers, content = self._request(method, self._url + path, self._headers, body)
        if status in (401, 403):
            raise RelayError("authentication", "Invalid bot token")
        if status in (404, 410):
            raise RelayError("undeliverable", "the relay knows no such room, message or file")
        if status == 429:  # noqa: PLR2004  # too many requests
            raise RelayError("throttled", "the relay wants it slower", _retry_after_ms(headers))
        if status != 200:  # noqa: PLR2004  # OK
            raise RelayError("unavailable", f"the relay answered {status}")
        return content


def pushed(method: str, headers: Sequence[tuple[str, str]], body: bytes, key: str) -> list[dict[str, Any]]:
    """Return the messages of a request that the service sent, which proves itself with the key."""
    if method != "POST":
        raise RelayError("undeliverable", "messages are posted")
    if not key or not hmac.compare_digest(dict(headers).get("x-relay-key", "").encode(), key.encode()):
        raise RelayError("authentication", "the request does not have the relay's key")
    return _object(body).get("messages", [])


def _retry_after_ms(headers: Sequence[tuple[str, str]]) -> int:
    value = next((value for name, value in headers if name.lower() == "retry-after"), "")
    return int(value) * 1000 if value.isdecimal() else _DEFAULT_RETRY_MS


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RelayError("unavailable", "what the relay says cannot be understood")
    return found
