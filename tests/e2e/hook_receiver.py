"""A receiver of webhooks in threads of the test's process, and the stream of events that it is to get through kills."""

import http.client
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from standardwebhooks import Webhook

from tests.e2e.daemon_process import DaemonProcess, call
from tests.support.waiting import wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # of a receiver that lives in the test
POSTERS = 4
_WAIT_SECS = 300.0

StartAgain = Callable[[], DaemonProcess]


@dataclass
class Taken:
    """What a receiver took."""

    port: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    """By `webhook-id`."""
    faults: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def take(self, headers: dict[str, str], body: bytes) -> None:
        event = Webhook(SECRET).verify(body, headers)
        known = self.bodies.setdefault(event["id"], body)
        if known != body or headers["webhook-id"] != event["id"]:
            self.faults.append(f"{event['id']} changed")
        self.events.append(event)

    def users(self) -> list[str]:
        """Return the users of the sessions that it was told of, each once, in the order of arrival."""
        return list(dict.fromkeys(event["data"]["user_id"] for event in self.events))


@contextmanager
def receiver() -> Iterator[Taken]:
    """Take and verify deliveries until the block ends; one that does not verify is answered with 500."""
    taken = Taken()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                taken.take({name.lower(): value for name, value in self.headers.items()}, body)
                status, answer = 204, b""
            except Exception as error:  # noqa: BLE001  # the test reads what is wrong
                taken.faults.append(repr(error))
                status, answer = 500, b"not for me"
            self.send_response(status)
            if answer:
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        taken.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield taken
        finally:
            server.shutdown()
            thread.join()


class Poster(threading.Thread):
    """Begins sessions, one after the other, at whatever daemon there is, and notes which were acknowledged."""

    def __init__(self, name: str, token: str, count: int) -> None:
        super().__init__()
        self.prefix = name
        self.acknowledged: list[str] = []
        self.url = ""
        self.there = threading.Event()
        """Whether there is a daemon to talk to."""
        self._token = token
        self._left = count
        self._sent = 0

    def run(self) -> None:
        while self._left:
            assert self.there.wait(_WAIT_SECS)
            url = urlsplit(self.url)
            connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
            try:
                while self._left:
                    self._begin(connection, url.path)
            except (OSError, http.client.HTTPException):
                self.there.wait(0.01)
            finally:
                connection.close()

    def _begin(self, connection: http.client.HTTPConnection, path: str) -> None:
        user = f"{self.prefix}-{self._sent:05}"
        self._sent += 1
        connection.request(
            "POST",
            f"{path}/sessions",
            json.dumps({"channel": "api", "user_id": user}),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        response = connection.getresponse()
        answer = response.read()
        if response.status == 201:
            self.acknowledged.append(user)
            self._left -= 1
        else:
            assert response.status == 503, answer


def stream_through_kills(start_again: StartAgain, *, events: int, kills: int) -> None:
    """Have `events` sessions begin while the daemon is killed, and see that each is told, in order and signed."""
    with receiver() as taken:
        daemon = start_again()
        url, token = str(daemon.event("ready")["url"]), daemon.token()
        body = {"url": taken.url, "events": ["session.created"], "secret": SECRET}
        assert call(f"{url}/hooks", token, body)[0] == 201
        posters = [Poster(f"p{number}", token, events // POSTERS) for number in range(POSTERS)]
        for poster in posters:
            poster.url = url
            poster.there.set()
            poster.start()

        def acknowledged() -> int:
            return sum(len(poster.acknowledged) for poster in posters)

        for number in range(kills):
            goal = (number + random.random()) * events / (kills + 1)  # noqa: S311  # any moment is as good
            wait_until(lambda goal=goal: acknowledged() >= goal, within_secs=_WAIT_SECS)  # type: ignore[misc]
            for poster in posters:
                poster.there.clear()
            daemon.process.kill()
            daemon.ended()
            daemon = start_again()
            url = str(daemon.event("ready")["url"])
            for poster in posters:
                poster.url = url
                poster.there.set()
        for poster in posters:
            poster.join(_WAIT_SECS)
        expected = {user for poster in posters for user in poster.acknowledged}
        assert len(expected) == events // POSTERS * POSTERS
        wait_until(lambda: expected <= set(taken.users()), within_secs=_WAIT_SECS)
    assert taken.faults == []
    for poster in posters:
        told = [user for user in taken.users() if user.startswith(f"{poster.prefix}-")]
        assert told == sorted(told)
    # What was told twice was the same thing under the same id.
    assert len(taken.bodies) == len(taken.users())
