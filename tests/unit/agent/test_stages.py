"""What middleware sees of a turn, and may change."""

import json
from typing import Any

import pytest

from prx.core.message import Failure
from prx.core.provider import ChatMessage
from prx.core.tool import ToolResult
from tests.support.agents import Bench, Model, Step, Tool, begun, calling, say, saying, told, transcript


async def test_middleware_changes_what_the_model_sees_and_what_is_answered(
    bench: Bench, model: Model
) -> None:
    session = await begun(bench)
    model.script = [saying("the secret is 42"), saying("two")]
    seen: list[Any] = []

    def request(data: Any) -> Any:
        seen.append(data)
        return data | {"system": "Speak low.", "tools": [], "model": "m9"}

    steps = [
        Step("inbound", lambda data: data | {"content": data["content"].replace("hunter2", "***")}),
        Step("llm_request", request),
        Step("llm_response", lambda data: data | {"content": data["content"].replace("42", "**")}),
        Step("outbound", lambda data: data | {"content": data["content"].upper()}),
    ]
    with (
        bench.points.tools.offering([Tool("echo", lambda *_: ToolResult("hi"))]),
        bench.points.middleware.offering(steps[0]),
        bench.points.middleware.offering(steps[1]),
        bench.points.middleware.offering(steps[2]),
        bench.points.middleware.offering(steps[3]),
    ):
        pending = await bench.agent.post(session, "my password is hunter2")
        answer = await pending.answer()
    assert answer.content == "THE SECRET IS **"
    # Nobody hears what the steps did not let out.
    assert await told(pending) == [("token", "THE SECRET IS **"), ("done", answer)]
    [asked] = model.asked
    assert (asked.messages, asked.system, asked.tools, asked.model) == (
        [ChatMessage("user", "my password is ***", [])], "Speak low.", [], "m9",
    )  # fmt: skip
    assert seen[0]["tools"] == ["echo"]
    assert {"session_id", "message_id", "channel", "user_id"} <= seen[0].keys()
    assert await transcript(bench, session) == [
        ("user", "my password is ***"), ("assistant", "THE SECRET IS **"),
    ]  # fmt: skip


@pytest.mark.parametrize("stage", ["inbound", "llm_request", "llm_response", "outbound"])
async def test_what_middleware_gives_back_has_to_fit(bench: Bench, stage: str) -> None:
    session = await begun(bench)
    with bench.points.middleware.offering(Step(stage, lambda _: [])):
        answer = await say(bench, session)
    assert answer.error is not None
    assert answer.error.code == "forbidden"
    assert f"blocked at the stage {stage}: middleware gave back what does not fit" in answer.error.message
    assert (answer.content, answer.finish) == ("", "other")


@pytest.mark.parametrize("stage", ["inbound", "llm_request"])
async def test_no_model_sees_what_was_blocked(bench: Bench, model: Model, stage: str) -> None:
    session = await begun(bench)
    guard = Step(stage, lambda data: None if "forbidden" in json.dumps(data) else data)
    with bench.points.middleware.offering(guard):
        await say(bench, session, "forbidden")
        assert (await say(bench, session, "fine")).error is None
    assert [message.content for message in model.asked[0].messages] == ["fine"]


async def test_what_a_tool_brought_and_no_model_may_see_blocks_no_later_message(
    bench: Bench, model: Model
) -> None:
    session = await begun(bench)
    model.script = [calling(("read", "{}")), saying("fine, too")]
    guard = Step("llm_request", lambda data: None if "forbidden" in json.dumps(data) else data)
    with (
        bench.points.tools.offering([Tool("read", lambda *_: ToolResult("forbidden"))]),
        bench.points.middleware.offering(guard),
    ):
        blocked = await say(bench, session, "read it")
        assert blocked.error is not None
        assert (blocked.error.code, blocked.tool_calls[0].output) == ("forbidden", "forbidden")
        assert (await say(bench, session, "fine")).content == "fine, too"
    assert [message.content for message in model.asked[1].messages] == ["fine"]


async def test_a_tool_that_middleware_left_out_is_not_called(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    model.script = [calling(("rm_all", "{}")), saying("then not")]
    ran: list[int] = []
    with (
        bench.points.tools.offering([Tool("rm_all", lambda *_: ran.append(1) or ToolResult("ok"))]),
        bench.points.middleware.offering(Step("llm_request", lambda data: data | {"tools": []})),
    ):
        answer = await say(bench, session)
    assert answer.tool_calls[0].error == Failure("not_found", 'Tool "rm_all" is not offered')
    assert (ran, answer.content) == ([], "then not")
