"""Messages that programs post: signed or refused, answered once, in the response or to a receiver."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from prx.channels.registry import ADAPTERS
from prx.core.channel import PushedRequest, PushedResponse
from prx.core.errors import BadRequestError, NotFoundError, UnauthorizedError, UnavailableError
from prx.core.webhook import signature
from tests.support.agents import Model, saying
from tests.support.channel_daemon import Daemon, living
from tests.support.waiting import eventually

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # the specification's own example


def signed(
    said: dict[str, Any], *, message_id: str = "m1", secret: str = SECRET, age_secs: int = 0
) -> PushedRequest:
    """Return what a program posts."""
    body, second = json.dumps(said).encode(), str(int(time.time()) - age_secs)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": second,
        "webhook-signature": f"v1,bm9uZQ== {signature(secret, message_id, second, body)}",
    }
    return PushedRequest(method="POST", path="", query=[], headers=headers, body=body)


def content(response: PushedResponse) -> dict[str, Any]:
    return json.loads(response.body) | {"status": response.status}


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def daemon(tmp_path: Path, model: Model) -> AsyncIterator[Daemon]:
    async with living(tmp_path, "webhook", ADAPTERS["webhook"], model) as daemon:
        yield daemon


@dataclass
class Receiver:
    """A program that answers are posted to."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """What the next posts are answered; those after them are taken."""
    heard: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    """The `webhook-id` of each post, whatever it was answered."""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        Webhook(SECRET).verify(body, dict(request.headers))
        self.ids.append(request.headers["webhook-id"])
        if self.statuses:
            return web.Response(status=self.statuses.pop(0), headers={"Retry-After": "0"})
        self.heard.append(json.loads(body))
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield receiver
    await runner.cleanup()


async def test_a_message_is_answered_in_the_response_and_once(daemon: Daemon, model: Model) -> None:
    await daemon.configure(secret=SECRET)
    said = {"user": "ada", "text": "hello"}
    expected = {"status": 200, "id": "m1", "accepted": True, "text": "answer 1"}
    assert content(await daemon.channels.pushed("one", signed(said))) == expected
    assert content(await daemon.channels.pushed("one", signed(said))) == expected
    assert len(model.asked) == 1


async def test_who_sends_a_message_many_times_at_once_is_told_its_answer_each_time(
    daemon: Daemon, model: Model
) -> None:
    await daemon.configure(secret=SECRET)
    request = signed({"user": "ada", "text": "hello"})
    found = await asyncio.gather(*(daemon.channels.pushed("one", request) for _ in range(5)))
    assert [content(each)["text"] for each in found] == ["answer 1"] * 5
    assert len(model.asked) == 1


async def test_what_is_not_signed_now_and_with_the_secret_is_refused(daemon: Daemon, model: Model) -> None:
    await daemon.configure(secret=SECRET)
    said = {"user": "ada", "text": "hello"}
    other = "whsec_" + "bm90aGluZw=="
    for request, why in (
        (signed(said, secret=other), "not signed with the channel's secret"),
        (signed(said, message_id="\udcff"), "not signed"),
        (signed(said, age_secs=301), "signed more than 300 s ago"),
        (signed(said, age_secs=-301), "or will be"),
    ):
        with pytest.raises(UnauthorizedError, match=why):
            await daemon.channels.pushed("one", request)
    assert model.asked == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"text": "hello"}, "user: Field required"),
        ({"user": "ada", "text": ""}, "text: String should have at least 1"),
        ({"user": "ada", "text": "x", "colour": "red"}, "colour: Extra"),
        ([], "body: Input should be an object"),
    ],
)
async def test_what_is_no_message_is_refused_with_the_reason(daemon: Daemon, said: Any, why: str) -> None:
    await daemon.configure(secret=SECRET)
    with pytest.raises(BadRequestError, match=why):
        await daemon.channels.pushed("one", signed(said))


async def test_who_may_not_talk_is_not_accepted(daemon: Daemon, model: Model) -> None:
    await daemon.configure(secret=SECRET, allowed_users=["bob"])
    said = {"user": "ada", "text": "hello"}
    found = content(await daemon.channels.pushed("one", signed(said)))
    assert found == {"status": 202, "id": "m1", "accepted": False}
    assert model.asked == []


async def test_an_answer_that_takes_too_long_is_there_when_the_message_is_sent_again(
    daemon: Daemon, model: Model
) -> None:
    going = asyncio.Event()
    model.script = [["at ", going, "last"]]
    await daemon.configure(secret=SECRET, response_timeout_secs=1)
    said = {"user": "ada", "text": "hello"}
    found = content(await daemon.channels.pushed("one", signed(said)))
    assert found == {"status": 202, "id": "m1", "accepted": True}
    found = content(await daemon.channels.pushed("one", signed(said)))
    assert found == {"status": 202, "id": "m1", "accepted": True, "repeated": True}
    going.set()
    while content(await daemon.channels.pushed("one", signed(said)))["status"] != 200:
        pass  # each waits for a second
    assert len(model.asked) == 1


async def test_an_answer_that_a_life_did_not_come_to_is_there_in_the_next_when_the_message_is_sent_again(
    tmp_path: Path, model: Model
) -> None:
    model.script = [[asyncio.Event()]]
    said = {"user": "ada", "text": "hello"}
    async with living(tmp_path, "webhook", ADAPTERS["webhook"], model) as daemon:
        await daemon.configure(secret=SECRET, response_timeout_secs=1)
        await daemon.channels.pushed("one", signed(said))
    going = asyncio.Event()
    model.script = [[going, *saying("at last")]]
    async with living(tmp_path, "webhook", ADAPTERS["webhook"], model) as daemon:
        await daemon.configure(secret=SECRET)
        again = asyncio.ensure_future(daemon.channels.pushed("one", signed(said)))
        await eventually(lambda: len(model.asked) == 2)
        going.set()
        assert content(await again) == {"status": 200, "id": "m1", "accepted": True, "text": "at last"}


async def test_what_an_earlier_life_answered_is_accepted_and_not_asked_again(
    tmp_path: Path, model: Model
) -> None:
    for command in ({"text": "hello"}, {"text": "/status"}):
        said = {"user": "ada"} | command
        message_id = said["text"]
        async with living(tmp_path, "webhook", ADAPTERS["webhook"], model) as daemon:
            await daemon.configure(secret=SECRET)
            found = content(await daemon.channels.pushed("one", signed(said, message_id=message_id)))
            assert (found["status"], found["accepted"]) == (200, True)
            await eventually(lambda daemon=daemon: not daemon.inbox._lanes)
        async with living(tmp_path, "webhook", ADAPTERS["webhook"], model) as daemon:
            await daemon.configure(secret=SECRET)
            found = content(await daemon.channels.pushed("one", signed(said, message_id=message_id)))
            assert found == {"status": 202, "id": message_id, "accepted": True, "repeated": True}
            await daemon.configure(secret=SECRET, allowed_users=["bob"])
            found = content(await daemon.channels.pushed("one", signed(said, message_id=message_id)))
            assert found == {"status": 202, "id": message_id, "accepted": False}
    assert len(model.asked) == 1


async def test_answers_are_posted_signed_until_the_receiver_takes_them(
    daemon: Daemon, receiver: Receiver
) -> None:
    receiver.statuses = [429]
    await daemon.configure(secret=SECRET, callback_url=receiver.url, allow_private_callback=True)
    said = {"user": "ada", "text": "hello", "conversation": "room", "group": True, "thread": "t"}
    found = content(await daemon.channels.pushed("one", signed(said)))
    assert found == {"status": 202, "id": "m1", "accepted": True}
    await eventually(lambda: receiver.heard)
    assert receiver.heard == [{"text": "answer 1", "conversation": "room", "thread": "t", "reply_to": "m1"}]
    assert (await daemon.channels.health("one")).healthy
    first, again = receiver.ids
    assert first == again
    found = content(await daemon.channels.pushed("one", signed(said)))
    assert found == {"status": 202, "id": "m1", "accepted": True, "repeated": True}
    await daemon.channels.pushed("one", signed(said, message_id="m2"))
    await eventually(lambda: len(receiver.heard) == 2)
    assert receiver.ids[2] != first


async def test_a_receiver_on_a_private_network_needs_consent(daemon: Daemon, receiver: Receiver) -> None:
    await daemon.configure(secret=SECRET, callback_url=receiver.url)
    health = await daemon.channels.health("one")
    assert "channels_config.one.allow_private_callback = true" in (health.error or "")
    findings = await ADAPTERS["webhook"]("one", daemon.configured["one"]).diagnose()
    assert [finding.remedy for finding in findings] == [None, "start the receiver, or correct callback_url"]


async def test_requests_for_what_is_no_such_channel_are_refused(daemon: Daemon) -> None:
    await daemon.configure(secret=SECRET, enabled=False)
    with pytest.raises(NotFoundError):
        await daemon.channels.pushed("none", signed({}))
    with pytest.raises(UnavailableError, match="disabled"):
        await daemon.channels.pushed("one", signed({}))
