"""Deliveries over real sockets: signed, in order, at least once, and each hook by itself."""

import asyncio
import hashlib
import hmac
import ssl
import struct
import time
from base64 import b64decode
from socket import SO_LINGER, SOL_SOCKET

import pytest

from prx.core.errors import BadRequestError, ConflictError, NotFoundError
from prx.webhooks.registry import Wanted
from tests.integration.egress.servers import Answer, Received, redirect, reply, saying, serving, silent
from tests.integration.webhooks.conftest import RunStage, Stage
from tests.integration.webhooks.receiver import SECRET, receiving
from tests.support.certificates import certificate, serves
from tests.support.waiting import PATIENCE_SECS, eventually

__all__ = ["certificate", "serves"]  # fixtures


async def test_what_a_hook_asked_for_arrives_once_signed_in_both_ways(stage: Stage) -> None:
    async with receiving() as receiver:
        hook = await stage.register(receiver.url, "session.created")
        await stage.happen(1, "session.terminated")
        await stage.happen(2)
        first, second = await receiver.has(2)
        await eventually(lambda: receiver.numbers() == [2, 3])
        await stage.settled(hook, ["delivered", "delivered"])
    assert list(first) == ["event", "timestamp", "data", "id"]
    assert first["event"] == "session.created"
    assert first["data"] == {"number": 2}
    assert first["timestamp"].endswith("Z")
    assert first["id"] != second["id"]
    request = receiver.requests[0]
    digest = hmac.new(b64decode(SECRET.removeprefix("whsec_")), request.body, hashlib.sha256).hexdigest()
    assert request.values("x-prx-signature") == [f"sha256={digest}"]
    assert request.values("content-type") == ["application/json"]
    assert request.line == "POST /hook HTTP/1.1"


async def test_what_the_bus_tells_arrives_under_the_names_of_events(stage: Stage) -> None:
    async with receiving() as receiver:
        await stage.register(receiver.url)
        stage.bus.publish("prx.tool.after_execute", {"tool": "echo"})
        stage.bus.publish("prx.tool.before_execute", {"tool": "echo"})
        stage.bus.publish("prx.plugin.loaded", {"plugin": "weather"})
        stage.bus.publish("prx.plugin.loaded", {"plugin": "forged"}, source="plugin:weather")
        stage.bus.publish("prx.lifecycle.config_reloaded", {"version": 2})
        received = await receiver.has(3)
    assert [(event["event"], event["data"]) for event in received] == [
        ("tool.executed", {"tool": "echo"}),
        ("plugin.loaded", {"plugin": "weather"}),
        ("config.changed", {"version": 2}),
    ]


async def test_a_receiver_that_fails_in_every_way_gets_all_in_order(stage: Stage) -> None:
    failures = [
        saying(reply(500, b"no")),
        saying(reply(429, b"", "Retry-After: 1")),
        redirect("http://127.0.0.1:9/elsewhere"),
        saying(reply(404)),
        saying(b"this is not HTTP\r\n\r\n"),
        saying(b""),
    ]
    async with receiving(*failures, saying(reply(204))) as receiver:
        hook = await stage.register(receiver.url)
        await stage.happen(3)
        await eventually(lambda: len(receiver.received) == len(failures) + 3)
        assert receiver.numbers() == [1] * (len(failures) + 1) + [2, 3]
        assert len({event["id"] for event in receiver.received}) == 3
        assert len({request.body for request in receiver.requests}) == 3
        await stage.settled(hook, ["delivered"] * 3)
    found, total = await stage.webhooks.deliveries(hook, None, limit=1, offset=2)
    assert total == 3
    assert (found[0].attempts, found[0].status, found[0].error) == (7, 204, None)


async def test_a_receiver_that_hangs_holds_up_nobody_else(run_stage: RunStage) -> None:
    async with run_stage(timeout_secs=60) as stage, serving(silent) as hanging, receiving() as receiver:
        await stage.register(hanging.url())
        await stage.register(receiver.url)
        await stage.happen(40)
        await receiver.has(40)
        assert receiver.numbers() == list(range(1, 41))
        await eventually(lambda: hanging.received)
        assert len(hanging.received) == 1


async def test_a_receiver_that_says_gone_is_left_alone_and_its_backlog_kept(stage: Stage) -> None:
    async with receiving(saying(reply(410)), saying(reply(200))) as receiver:
        hook = await stage.register(receiver.url)
        await stage.happen(2)
        await eventually(lambda: not stage.webhooks.registry.get(hook.id).active)
        await stage.happen(1)
        assert await stage.states(hook) == ["pending"] * 3
        (problem,) = stage.webhooks.problems()
        assert problem.unit == f"hook.{hook.id}"
        assert "410" in problem.reason
        with pytest.raises(ConflictError, match="not active"):
            await stage.webhooks.dispatcher.retry(
                stage.webhooks.registry.get(hook.id), receiver.received[0]["id"]
            )
        await stage.webhooks.registry.change(hook.id, Wanted(active=True))
        await receiver.has(4)
        assert receiver.numbers() == [1, 1, 2, 3]
        assert stage.webhooks.problems() == []


async def test_after_max_retries_a_hook_is_switched_off_and_says_why(run_stage: RunStage) -> None:
    async with run_stage(max_retries=2) as stage, receiving(saying(reply(503, b"out of order"))) as receiver:
        hook = await stage.register(receiver.url)
        await stage.happen(1)
        await eventually(lambda: not stage.webhooks.registry.get(hook.id).active)
        assert len(receiver.received) == 3
        off = stage.webhooks.registry.get(hook.id)
        assert off.reason == "3 attempts failed, one after the other; the last one: the receiver answered 503"
        values = {metric.name: dict(metric.samples) for metric in stage.webhooks.metrics()}
        assert values["prx_webhooks"] == {("active",): 0, ("disabled",): 0, ("failed",): 1}
        assert values["prx_webhook_attempts"] == {("delivered",): 0, ("failed",): 3}
        found, _ = await stage.webhooks.deliveries(hook, "pending", limit=10, offset=0)
        assert (found[0].attempts, found[0].excerpt) == (3, "out of order")
    async with run_stage() as again:
        assert again.webhooks.registry.get(hook.id) == off
        assert await again.webhooks.pending(off) == 1


async def test_a_receiver_that_fails_again_and_again_is_a_problem_until_it_takes_something(
    run_stage: RunStage,
) -> None:
    busy, later = saying(reply(503)), saying(reply(503, b"", "Retry-After: 3600"))
    async with receiving(busy, busy, later) as receiver:
        async with run_stage() as stage:
            hook = await stage.register(receiver.url)
            await stage.happen(1)
            await receiver.has(2)
            await eventually(stage.webhooks.problems)
            (problem,) = stage.webhooks.problems()
            assert problem.unit == f"hook.{hook.id}"
            assert f"`prx hook test {hook.id}`" in problem.action
        async with run_stage() as stage:
            await eventually(stage.webhooks.problems)
            found, _ = await stage.webhooks.deliveries(hook, "pending", limit=1, offset=0)
            assert stage.webhooks.problems()[0].reason == problem.reason
            assert problem.reason == (
                "its events wait: 3 attempts failed, one after the other; it is tried again at "
                f"{found[0].next_try_at}; the last one: the receiver answered 503"
            )
            receiver.answers = [saying(reply(200))]
            await stage.webhooks.dispatcher.retry(hook, found[0].id)
            await eventually(lambda: not stage.webhooks.problems())
            await stage.settled(hook, ["delivered"])


async def test_a_clock_that_is_set_back_during_a_pause_does_not_lengthen_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving(saying(reply(503, b"", "Retry-After: 1")), saying(reply(200))) as receiver:
        hook = await stage.register(receiver.url)
        await stage.happen(1)
        await eventually(lambda: stage.webhooks.dispatcher.attempts["failed"])
        monkeypatch.setattr("prx.webhooks.lane._now_ms", lambda: int(1000 * (time.time() - 3600)))
        await stage.settled(hook, ["delivered"])


async def test_what_was_not_delivered_before_a_stop_is_delivered_after_it(run_stage: RunStage) -> None:
    async with receiving(saying(reply(500))) as receiver:
        async with run_stage() as stage:
            hook = await stage.register(receiver.url)
            await stage.happen(2)
            await receiver.has(1)
        receiver.answers = [saying(reply(200))]
        async with run_stage() as stage:
            stage.count = 2
            await stage.happen(1)
            await stage.settled(hook, ["delivered"] * 3)
    assert receiver.numbers() == sorted(receiver.numbers())


async def test_a_delivery_is_made_again_when_somebody_asks(stage: Stage) -> None:
    async with receiving() as receiver:
        hook = await stage.register(receiver.url)
        await stage.happen(2)
        first, _ = await receiver.has(2)
        await stage.settled(hook, ["delivered"] * 2)
        delivery = await stage.webhooks.dispatcher.retry(hook, first["id"])
        assert delivery.id == first["id"]
        await receiver.has(3)
        assert receiver.numbers() == [1, 2, 1]
        assert receiver.received[2] == first
        with pytest.raises(NotFoundError, match="no delivery"):
            await stage.webhooks.dispatcher.retry(hook, "evt_unknown")


async def test_a_test_delivery_goes_to_a_hook_that_is_switched_off_and_changes_nothing(stage: Stage) -> None:
    async with receiving(saying(reply(200, b"thanks")), saying(reply(500))) as receiver:
        hook = await stage.register(receiver.url, "mcp.connected")
        await stage.webhooks.registry.change(hook.id, Wanted(active=False))
        off = stage.webhooks.registry.get(hook.id)
        delivered = await stage.webhooks.dispatcher.test(off)
        failed = await stage.webhooks.dispatcher.test(off)
    assert [event["event"] for event in receiver.received] == ["hook.test"] * 2
    assert (delivered.state, delivered.status, delivered.excerpt) == ("delivered", 200, "thanks")
    assert (failed.state, failed.error) == ("failed", "the receiver answered 500")
    assert stage.webhooks.registry.get(hook.id) == off


async def test_a_test_of_a_hook_that_is_removed_meanwhile_leaves_nothing(stage: Stage) -> None:
    asked, removed = asyncio.Event(), asyncio.Event()

    async def answer_late(request: Received, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await removed.wait()
        await saying(reply(200))(request, writer)

    async with serving(answer_late) as server:
        hook = await stage.register(server.url())
        test = asyncio.ensure_future(stage.webhooks.dispatcher.test(hook))
        await asked.wait()
        await stage.webhooks.registry.remove(hook.id)
        removed.set()
        with pytest.raises(NotFoundError, match="removed while the test was sent"):
            await test
    assert await stage.store.run(lambda db: db.execute("SELECT 1 FROM hook_deliveries").fetchone()) is None


async def test_secrets_overlap_when_one_takes_the_place_of_another(stage: Stage) -> None:
    newer = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    async with receiving(secret=SECRET) as old, receiving(secret=newer) as new:
        hook = await stage.register(old.url)
        for _ in range(2):  # as a client does that heard no answer
            await stage.webhooks.registry.change(hook.id, Wanted(secret=newer))
        await stage.happen(1)
        await old.has(1)
        await stage.webhooks.registry.change(hook.id, Wanted(url=new.url))
        await stage.happen(1)
        await new.has(1)
        assert len(new.requests[0].values("webhook-signature")[0].split()) == 2


async def test_what_a_hook_was_to_get_goes_with_it(stage: Stage) -> None:
    async with receiving(saying(reply(500))) as receiver:
        hook = await stage.register(receiver.url)
        await stage.happen(3)
        await receiver.has(1)
        await stage.webhooks.registry.remove(hook.id)

    async with asyncio.timeout(PATIENCE_SECS):
        while await stage.store.run(lambda db: db.execute("SELECT 1 FROM hook_events").fetchone()):
            continue
    with pytest.raises(NotFoundError):
        stage.webhooks.registry.get(hook.id)


async def test_what_falls_out_of_a_backlog_is_a_problem_until_somebody_has_seen_it(
    run_stage: RunStage,
) -> None:
    async with serving(silent) as hanging:
        async with run_stage(max_backlog=3) as stage:
            hook = await stage.register(hanging.url())
            await stage.happen(8)
        async with run_stage(max_backlog=3) as stage:  # it sweeps when it begins
            await eventually(stage.webhooks.problems)
            (problem,) = stage.webhooks.problems()
            assert problem.reason == "5 events fell out of its backlog, which is bounded"
            assert stage.webhooks.registry.get(hook.id).active
        async with run_stage(max_backlog=3) as stage:
            assert [problem.unit for problem in stage.webhooks.problems()] == [f"hook.{hook.id}"]
            await stage.webhooks.registry.change(hook.id, Wanted(active=True))
            assert stage.webhooks.problems() == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://example.com/", "only http and https"),
        ("http://127.0.0.1/", "hooks.allow_private_targets = true"),
        ("http://[::1]/", "loopback"),
        ("http://localhost/", "loopback"),
        ("http://10.1.2.3/", "private"),
        ("http://169.254.169.254/", "cloud metadata"),
        ("http://2130706433/", "loopback"),
        ("http://0177.1/", "loopback"),
        ("http://[::ffff:7f00:1]/", "loopback"),
        ("http://0/", "an unspecified address"),
        ("https://user:password@example.com/", "user name"),
        ("http://example.com/" + "x" * 3000, "2048"),
    ],
)
async def test_a_hook_that_would_lead_where_none_may_go_is_refused(
    run_stage: RunStage, url: str, said: str
) -> None:
    async with run_stage(allow_private_targets=False) as stage:
        with pytest.raises(BadRequestError, match=said) as refused:
            await stage.register(url)
        assert refused.value.details is not None
        assert refused.value.details["errors"][0]["field"] == "url"
        await stage.register("http://does-not-resolve.invalid/")


async def test_a_hook_that_leads_inside_is_refused_at_each_delivery_too(run_stage: RunStage) -> None:
    async with receiving() as receiver:
        async with run_stage() as stage:
            hook = await stage.register(receiver.url)
        async with run_stage(allow_private_targets=False, max_retries=0) as stage:
            await stage.happen(1)
            await eventually(lambda: not stage.webhooks.registry.get(hook.id).active)
            reason = stage.webhooks.registry.get(hook.id).reason
            assert reason is not None
            assert "hooks.allow_private_targets = true" in reason
        assert receiver.received == []


async def test_an_answer_without_an_end_counts_by_its_status(run_stage: RunStage) -> None:
    async def endless(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with run_stage() as stage, receiving(endless) as receiver:
        hook = await stage.register(receiver.url)
        await stage.happen(2)
        await receiver.has(2)
        await stage.settled(hook, ["delivered"] * 2)


async def reset(_: Received, writer: asyncio.StreamWriter) -> None:
    """Break the connection off instead of closing it."""
    socket = writer.get_extra_info("socket")
    socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    ("fail", "url", "said"),
    [
        (reset, "http://127.0.0.1:{port}/", "closed the connection without an answer"),
        (silent, "http://127.0.0.1:{port}/", "did not answer within 1 s"),
        (silent, "http://127.0.0.1:1/", "no connection: Connection refused"),
        (silent, "http://does-not-resolve.invalid/", "does not resolve"),
    ],
)
async def test_an_event_waits_until_its_receiver_is_right(
    run_stage: RunStage, fail: Answer, url: str, said: str
) -> None:
    async with (
        run_stage(timeout_secs=1, max_retries=100) as stage,
        serving(fail) as failing,
        receiving() as receiver,
    ):
        hook = await stage.register(url.format(port=failing.port))
        await stage.happen(2)
        async with asyncio.timeout(PATIENCE_SECS):
            while not (found := (await stage.webhooks.deliveries(hook, None, limit=1, offset=1))[0])[0].error:
                continue
        assert said in str(found[0].error)
        assert found[0].status is None
        await stage.webhooks.registry.change(hook.id, Wanted(url=receiver.url))
        await stage.settled(hook, ["delivered"] * 2)
        assert receiver.numbers() == [1, 2]


@pytest.mark.parametrize("status", [410, 500])
async def test_what_the_url_before_answers_says_nothing_of_the_next_one(
    run_stage: RunStage, status: int
) -> None:
    asked, changed = asyncio.Event(), asyncio.Event()

    async def fail_late(request: Received, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await changed.wait()
        await saying(reply(status))(request, writer)

    async with (
        run_stage(max_retries=0) as stage,
        serving(fail_late) as failing,
        receiving() as receiver,
    ):
        hook = await stage.register(failing.url())
        await stage.happen(2)
        await asked.wait()
        await stage.webhooks.registry.change(hook.id, Wanted(url=receiver.url))
        changed.set()
        await stage.settled(hook, ["delivered"] * 2)
        assert receiver.numbers() == [1, 2]
        assert stage.webhooks.registry.get(hook.id).active


async def test_a_retry_that_comes_during_an_attempt_waits_for_no_pause_after_it(stage: Stage) -> None:
    asked, retried = asyncio.Event(), asyncio.Event()

    async def fail_late(request: Received, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await retried.wait()
        await saying(reply(503, b"", "Retry-After: 3600"))(request, writer)

    async with receiving(fail_late, saying(reply(200))) as receiver:
        hook = await stage.register(receiver.url)
        await stage.happen(1)
        await asked.wait()
        (delivery,), _ = await stage.webhooks.deliveries(hook, None, limit=1, offset=0)
        await stage.webhooks.dispatcher.retry(hook, delivery.id)
        retried.set()
        await stage.settled(hook, ["delivered"])
        assert receiver.numbers() == [1, 1]


async def test_a_certificate_that_nobody_vouches_for_is_refused(stage: Stage, serves: ssl.SSLContext) -> None:
    async with serving(silent, tls=serves) as server:
        hook = await stage.register(f"https://127.0.0.1:{server.port}/")
        await stage.happen(1)
        async with asyncio.timeout(PATIENCE_SECS):
            while not (found := (await stage.webhooks.deliveries(hook, None, limit=1, offset=0))[0])[0].error:
                continue
        assert "certificate is refused" in str(found[0].error)
        assert server.received == []
