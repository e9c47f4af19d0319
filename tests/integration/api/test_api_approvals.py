"""Calls that wait for somebody to allow them, over the API."""

import asyncio
from typing import Any

from tests.integration.api.api_harness import Api
from tests.support.agents import Bench, Model, calling, saying
from tests.support.waiting import eventually

SESSIONS = "/api/v1/sessions"


async def waiting(api: Api, bench: Bench, session: str, model: Model) -> tuple["asyncio.Future[Any]", str]:
    """Begin a turn that waits for an approval; return its answer to come, and the approval's path."""
    bench.configure(agent={"approval": ["ec*"]})
    model.script = [calling(("echo", '{"text": "x"}')), saying("done")]
    path = f"{SESSIONS}/{session}"
    answer = asyncio.ensure_future(api.post(f"{path}/messages", json={"content": "hello"}))
    await eventually(lambda: bench.agent.approvals.open(session))
    [found] = (await api.get(f"{path}/approvals")).json()["approvals"]
    assert list(found) == ["id", "call", "expires_at"]
    assert found["call"] == {"id": "call-1", "name": "echo", "arguments": {"text": "x"}}
    return answer, f"{path}/approvals/{found['id']}"


async def test_a_call_is_listed_and_allowed(api: Api, bench: Bench, session: str, model: Model) -> None:
    answer, path = await waiting(api, bench, session, model)
    decided = await api.post(path, json={"approve": True})
    assert decided.json() == {"id": path.rpartition("/")[2], "approved": True}
    [call] = (await answer).json()["tool_calls"]
    assert (call["success"], call["output"]) == (True, "x")
    assert (await api.post(path, json={"approve": True})).status == 404
    assert (await api.get(f"{SESSIONS}/{session}/approvals")).json() == {"approvals": []}


async def test_a_call_is_denied(api: Api, bench: Bench, session: str, model: Model) -> None:
    answer, path = await waiting(api, bench, session, model)
    assert (await api.post(path, json={"approve": "no"})).status == 400
    await api.post(path, json={"approve": False, "reason": "not today"})
    [call] = (await answer).json()["tool_calls"]
    assert call["error"] == {"code": "denied", "message": "The call was not run: not today"}


async def test_approvals_are_those_of_a_session(api: Api, session: str) -> None:
    assert (await api.get(f"{SESSIONS}/sess_none/approvals")).status == 404
    assert (await api.post(f"{SESSIONS}/{session}/approvals/appr_1", json={"approve": True})).status == 404
