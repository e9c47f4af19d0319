"""The work of the sample relay, over a service that is a script."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

_SOURCE = Path(__file__).parents[3] / "plugins/relay/relay.py"
sample = SimpleNamespace(**runpy.run_path(str(_SOURCE)))


class Service:
    """Answers each request with the same, and keeps what was asked."""

    def __init__(self, status: int, body: Any, *headers: tuple[str, str]) -> None:
        self.asked: list[tuple[str, str, bytes | None]] = []
        self._answer = sample.Answer(status, headers, json.dumps(body).encode())

    def __call__(self, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None) -> Any:
        assert ("authorization", "Bearer secret") in headers
        self.asked.append((method, url, body))
        return self._answer


def relay(service: Service) -> Any:
    return sample.Relay(service, "http://relay/", "secret")


def test_it_goes_on_from_a_cursor_or_begins_with_now() -> None:
    service = Service(200, {"messages": [{"id": "m1"}], "cursor": "2"})
    assert relay(service).news("a&b", 500) == ([{"id": "m1"}], "2")
    relay(service).news(None, 500)
    assert [url for _, url, _ in service.asked] == [
        "http://relay/messages?after=a%26b&wait=500",
        "http://relay/messages",
    ]


def test_what_the_bot_says_is_posted_and_changed() -> None:
    service = Service(200, {"id": "b1"})
    assert relay(service).say("garden", "hi", "m1", "k1") == "b1"
    relay(service).change("b/1", "ho")
    assert service.asked == [
        (
            "POST",
            "http://relay/messages",
            b'{"room": "garden", "text": "hi", "reply_to": "m1", "key": "k1"}',
        ),
        ("PUT", "http://relay/messages/b%2F1", b'{"text": "ho"}'),
    ]


def test_a_file_is_posted_in_base64_and_fetched_as_it_is() -> None:
    service = Service(200, {"id": "b1"})
    relay(service).say("garden", "", None, "k1", sample.File("a.txt", "text/plain", b"hi"))
    ((_, _, body),) = service.asked
    assert json.loads(body or b"")["file"] == {"name": "a.txt", "type": "text/plain", "content": "aGk="}
    service = Service(200, "four")
    assert relay(service).fetch("a/b", 6) == b'"four"'
    assert [url for _, url, _ in service.asked] == ["http://relay/files/a%2Fb"]
    with pytest.raises(sample.RelayError) as raised:
        relay(service).fetch("a", 5)
    assert raised.value.case == "file_too_large"


@pytest.mark.parametrize(
    ("service", "case", "retry_after_ms"),
    [
        (Service(401, {}), "authentication", 0),
        (Service(404, {}), "undeliverable", 0),
        (Service(429, {}, ("Retry-After", "3")), "throttled", 3000),
        (Service(429, {}, ("Retry-After", "soon")), "throttled", 1000),
        (Service(500, {}), "unavailable", 0),
        (Service(200, ["no object"]), "unavailable", 0),
    ],
)
def test_what_goes_wrong_is_one_of_the_errors_of_the_world(
    service: Service, case: str, retry_after_ms: int
) -> None:
    with pytest.raises(sample.RelayError) as raised:
        relay(service).see()
    assert (raised.value.case, raised.value.retry_after_ms) == (case, retry_after_ms)


@pytest.mark.parametrize(
    ("method", "key", "known", "case"),
    [
        ("GET", "k", "k", "undeliverable"),
        ("POST", "guessed", "k", "authentication"),
        ("POST", "", "", "authentication"),
    ],
)
def test_a_push_that_proves_nothing_is_refused(method: str, key: str, known: str, case: str) -> None:
    with pytest.raises(sample.RelayError) as raised:
        sample.pushed(method, [("x-relay-key", key)], b"{}", known)
    assert raised.value.case == case
