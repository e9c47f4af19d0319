"""Calls that wait until somebody allows them."""

import pytest

from prx.core.errors import NotFoundError
from prx.core.event import topics
from prx.core.message import Failure
from prx.core.provider import ToolRequest
from prx.core.tool import ToolResult
from tests.support.agents import Bench, Model, Tool, begun, calling, say, saying, told, waiting_for_approval
from tests.support.waiting import eventually


async def test_a_tool_that_needs_approval_runs_once_it_is_allowed(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"approval": ["rm_*"]})
    model.script = [calling(("rm_all", "{}"), ("ls", "{}")), saying("done")]
    ran: list[str] = []

    def tool(name: str) -> Tool:
        return Tool(name, lambda *_: ran.append(name) or ToolResult("ok"))

    with (
        bench.points.tools.offering([tool("rm_all"), tool("ls")]),
        bench.points.bus.subscribed(topics("prx.session.approval")) as heard,
    ):
        pending = await bench.agent.post(session, "clean up")
        approval = await waiting_for_approval(bench, pending)
        await eventually(lambda: ran == ["ls"])
        assert approval.call == ToolRequest("call-1", "rm_all", "{}")
        with pytest.raises(NotFoundError):
            bench.agent.approvals.decide("sess_other", approval.id, approve=True)
        bench.agent.approvals.decide(session, approval.id, approve=True)
        answer = await pending.answer()
        event = await heard.take()
    assert (ran, answer.content) == (["ls", "rm_all"], "done")
    assert [call.error for call in answer.tool_calls] == [None, None]
    assert ("approval", approval) in await told(pending)
    assert (event.payload["id"], event.payload["tool"]) == (approval.id, "rm_all")
    with pytest.raises(NotFoundError, match="it may be decided"):
        bench.agent.approvals.decide(session, approval.id, approve=True)


async def test_a_call_that_is_denied_is_told_to_the_model_with_the_reason(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"approval": ["*"]})
    model.script = [calling(("rm_all", "{}")), saying("then not")]
    with bench.points.tools.offering([Tool("rm_all", lambda *_: ToolResult("ok"))]):
        pending = await bench.agent.post(session, "clean up")
        approval = await waiting_for_approval(bench, pending)
        bench.agent.approvals.decide(session, approval.id, approve=False, reason="too late")
        answer = await pending.answer()
    assert answer.tool_calls[0].error == Failure("denied", "The call was not run: too late")
    assert model.asked[1].messages[-1].content == "The call was not run: too late"


async def test_what_nobody_allows_in_time_is_denied(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"approval": ["*"], "approval_timeout_secs": 1})
    model.script = [calling(("rm_all", "{}")), saying("then not")]
    with bench.points.tools.offering([Tool("rm_all", lambda *_: ToolResult("ok"))]):
        answer = await say(bench, session, "clean up")
    assert answer.tool_calls[0].error == Failure(
        "denied", "The call was not run: nobody allowed it within 1 s"
    )
    assert bench.agent.approvals.open(session) == []
