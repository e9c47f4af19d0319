"""Hooks over the API: registered to the letter of the reference, delivered to, changed and removed."""

from typing import Any

import pytest

from prx.webhooks.service import Webhooks
from tests.integration.api.api_harness import Api
from tests.integration.egress.servers import reply, saying
from tests.integration.webhooks.receiver import SECRET, receiving

HOOKS = "/api/v1/hooks"
REFERENCE = {
    "url": "https://example.com/webhook",
    "events": ["session.created", "message.received"],
    "secret": "whsec_xxxxxxxxxxx",
}


async def test_the_references_own_request_is_answered_to_the_letter(api: Api) -> None:
    created = await api.post(HOOKS, json=REFERENCE)
    assert created.status == 201
    hook = created.json()
    assert list(hook) == ["id", "url", "events", "active", "created_at"]
    assert hook["id"].startswith("hook_")
    assert hook["created_at"].endswith("Z")
    assert (hook["url"], hook["events"], hook["active"]) == (REFERENCE["url"], REFERENCE["events"], True)
    assert (await api.get(HOOKS)).json() == {"hooks": [hook]}
    gone = await api.call("DELETE", f"{HOOKS}/{hook['id']}")
    assert (gone.status, gone.body) == (204, b"")
    assert (await api.get(HOOKS)).json() == {"hooks": []}
    again = await api.call("DELETE", f"{HOOKS}/{hook['id']}")
    assert (again.status, again.error["code"]) == (404, "not_found")


async def test_a_secret_is_told_once_and_only_where_the_daemon_made_it(api: Api) -> None:
    created = (await api.post(HOOKS, json={"url": "https://example.com/", "events": ["*"]})).json()
    made = created.pop("secret")
    assert made.startswith("whsec_")
    assert (await api.get(HOOKS)).json()["hooks"] == [created]
    answers = [await api.get(HOOKS), await api.get(f"{HOOKS}/{created['id']}")]
    assert all(made.encode() not in answer.body for answer in answers)
    rotated = await api.call("PATCH", f"{HOOKS}/{created['id']}", json={"rotate_secret": True})
    assert rotated.json()["secret"] not in (None, made)
    changed = await api.call("PATCH", f"{HOOKS}/{created['id']}", json={"secret": SECRET})
    assert "secret" not in changed.json()


@pytest.mark.parametrize(
    "secret",
    ["whsec_AAAA", "whsec_AAAAAA==", "whsec_AAAAAA", "whsec_xxxxxxxxxxx", "whsec_xxxxxxxxxxx="],
)
async def test_secrets_are_taken_with_and_without_padding(api: Api, secret: str) -> None:
    assert (await api.post(HOOKS, json={**REFERENCE, "secret": secret})).status == 201


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"events": []}, "events"),
        ({"events": ["session.begun"]}, "events.0"),
        ({"events": ["*", "SESSION.CREATED"]}, "events.1"),
        ({"events": "*"}, "events"),
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "example.com"}, "url"),
        ({"url": "http://127.0.0.1:3120/api/v1/status"}, "url"),
        ({"url": "http://[fe80::1]/"}, "url"),
        ({"url": "http://0x7f.1/"}, "url"),
        ({"url": 7}, "url"),
        ({"secret": ""}, "secret"),
        ({"secret": "whsec_"}, "secret"),
        ({"secret": "whsec_???"}, "secret"),
        ({"secret": "hunter2"}, "secret"),
        ({"active": True}, "active"),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_name(
    api: Api, wrong: dict[str, Any], field: str
) -> None:
    refused = await api.post(HOOKS, json={**REFERENCE, **wrong})
    assert (refused.status, refused.error["code"]) == (400, "bad_request")
    assert refused.error["details"]["errors"][0]["field"] == field
    assert (await api.get(HOOKS)).json() == {"hooks": []}


async def test_the_alias_of_an_event_is_kept_as_it_was_given(api: Api) -> None:
    created = await api.post(HOOKS, json={**REFERENCE, "events": ["session.completed"]})
    assert created.json()["events"] == ["session.completed"]


async def test_scopes_tell_reading_from_writing(api: Api) -> None:
    viewer, _ = api.tokens.create("viewer", role="viewer")
    assert (await api.get(HOOKS, token=viewer)).status == 200
    assert (await api.post(HOOKS, token=viewer, json=REFERENCE)).status == 403


async def test_a_hook_is_tried_looked_at_changed_and_replayed(api: Api, hooks_config: dict[str, Any]) -> None:
    hooks_config["allow_private_targets"] = True
    async with receiving(saying(reply(200, b"thanks"))) as receiver:
        body = {"url": receiver.url, "events": ["session.created"], "secret": SECRET}
        path = f"{HOOKS}/{(await api.post(HOOKS, json=body)).json()['id']}"
        tried = (await api.post(f"{path}/test")).json()
        assert tried["state"] == "delivered"
        assert (tried["status"], tried["excerpt"], tried["attempts"]) == (200, "thanks", 1)
        listed = (await api.get(f"{path}/deliveries?limit=1")).json()
        assert listed == {"deliveries": [tried], "total": 1}
        retried = await api.post(f"{path}/deliveries/{tried['id']}/retry")
        assert (retried.status, retried.json()["state"]) == (200, "pending")
        await receiver.has(2)
        assert receiver.received[0] == receiver.received[1]
        off = (await api.call("PATCH", path, json={"active": False, "events": ["*"]})).json()
        assert (off["active"], off["events"], off["origin"]) == (False, ["*"], "api")
        refused = await api.post(f"{path}/deliveries/{tried['id']}/retry")
        assert (refused.status, refused.error["code"]) == (409, "conflict")
        unknown = await api.post(f"{path}/deliveries/evt_none/retry")
        assert unknown.status == 404


@pytest.mark.parametrize("body", [{}, {"overlap_secs": 5}, {"secret": SECRET, "rotate_secret": True}])
async def test_a_change_that_says_nothing_or_two_things_is_refused(api: Api, body: dict[str, Any]) -> None:
    created = (await api.post(HOOKS, json=REFERENCE)).json()
    assert (await api.call("PATCH", f"{HOOKS}/{created['id']}", json=body)).status == 400


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "offset=-1", "state=lost"])
async def test_a_page_of_deliveries_that_cannot_be_is_refused(api: Api, query: str) -> None:
    created = (await api.post(HOOKS, json=REFERENCE)).json()
    refused = await api.get(f"{HOOKS}/{created['id']}/deliveries?{query}")
    assert refused.status == 400
    assert refused.error["details"]["errors"][0]["field"] == query.partition("=")[0]


async def test_no_more_than_a_hundred_hooks_are_registered(api: Api, webhooks: Webhooks) -> None:
    for _ in range(100):
        await webhooks.registry.register("https://1.1.1.1/", ["*"], None)
    refused = await api.post(HOOKS, json={**REFERENCE, "url": "https://1.1.1.1/"})
    assert (refused.status, refused.error["code"]) == (409, "conflict")
