"""Turns that use what they may."""

import pytest

from prx.core.errors import ConflictError, UnavailableError
from prx.core.provider import ChatAnswer
from prx.core.tool import ToolResult
from tests.support.agents import Bench, Model, Tool, begun, calling, say


async def test_a_session_that_used_its_budget_takes_no_more_messages(bench: Bench) -> None:
    session = await begun(bench)
    bench.configure(agent={"budgets": {"session_tokens": 5}})
    assert (await say(bench, session)).error is None
    with pytest.raises(ConflictError) as refused:
        await bench.agent.post(session, "more")
    assert refused.value.message == (
        f"Session {session} takes no more messages: 5 tokens are used (the session), of 5 "
        "(agent.budgets.session_tokens); begin another"
    )
    assert (await say(bench, await begun(bench))).error is None
    bench.configure(agent={"budgets": {"session_tokens": 6}})
    assert (await say(bench, session)).error is None


async def test_what_an_answer_costs_counts_over_a_restart(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"budgets": {"session_cost_usd": 1, "daily_cost_usd": 1.5}})
    model.script = [[ChatAnswer("dear", cost_usd=1.25)], [ChatAnswer("dear", cost_usd=0.25)]]
    assert (await say(bench, session)).cost_usd == 1.25
    with pytest.raises(ConflictError, match=r"1\.25 USD are spent"):
        await bench.agent.post(session, "more")
    other = await begun(bench)
    assert (await say(bench, other)).error is None
    # As another life of the daemon sees it.
    await bench.open()
    with pytest.raises(UnavailableError) as refused:
        await bench.agent.post(other, "more")
    assert refused.value.message == (
        "No message is taken before midnight UTC: 1.50 USD are spent (today), of 1.50 (agent.budgets.daily_cost_usd)"
    )
    assert 0 < refused.value.retry_after_secs <= 86400


async def test_a_refusal_names_fractions_of_a_cent(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"budgets": {"session_cost_usd": 0.0008}})
    model.script = [[ChatAnswer("cheap", cost_usd=0.00045)], [ChatAnswer("cheap", cost_usd=0.00045)]]
    await say(bench, session)
    await say(bench, session)
    with pytest.raises(ConflictError, match=r"0\.0009 USD are spent \(the session\), of 0\.0008 "):
        await bench.agent.post(session, "more")


async def test_a_turn_that_used_the_budget_asks_the_model_no_more(bench: Bench, model: Model) -> None:
    session = await begun(bench)
    bench.configure(agent={"budgets": {"session_tokens": 6}})
    model.script = [calling(("echo", "{}"), text="let me see")]
    with bench.points.tools.offering([Tool("echo", lambda *_: ToolResult("hi"))]):
        answer = await say(bench, session)
    assert answer.error is not None
    assert answer.error.code == "budget_exceeded"
    assert len(answer.tool_calls) == len(model.asked) == 1
