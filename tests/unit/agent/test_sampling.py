"""The model answers others than the agent's users within budgets of their own, and all of it is counted."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from prx.agent.budgets import BudgetError, Budgets
from prx.agent.sampling import Sampling
from prx.config.schema import BudgetsConfig, ProviderConfig
from prx.core.errors import ForbiddenError, UnavailableError
from prx.core.middleware import Stage
from prx.core.provider import (
    ChatAnswer,
    ChatMessage,
    ChatRequest,
    Image,
    ProviderConfigurationError,
    ProviderError,
)
from prx.core.session import TokenUsage
from prx.core.tool import CallContext
from prx.runtime.pipeline import Pipeline
from prx.runtime.store import Store
from tests.support.agents import Model, saying
from tests.support.waiting import eventually

NOON = datetime(2026, 3, 21, 12, tzinfo=UTC)
PROVIDER = ProviderConfig(model="m1", temperature=0.5)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


class Desk:
    """One life of what a test asks, and what it counts against."""

    def __init__(self, store: Store, **limits: int) -> None:
        self.store = store
        self.clock = Clock()
        self.model = Model()
        self.pipeline = Pipeline()
        self.budgets = Budgets(lambda: BudgetsConfig.model_validate(limits), self.clock)
        self.sampling: Sampling

    async def open(self) -> None:
        await self.store.run(self.budgets.restore)
        self.sampling = await Sampling.open(
            self.model, self.budgets, self.pipeline, self.store, lambda: PROVIDER, self.clock
        )

    async def ask(
        self, text: str = "Hi", *, source: str = "mcp:one", a_day: int = 1000, **more: Any
    ) -> ChatAnswer:
        request = ChatRequest(
            **{"messages": [ChatMessage("user", text)], "model": "", "max_tokens": 50, **more}
        )
        return await self.sampling.sample(source, request, a_day)

    async def used(self) -> dict[str, int]:
        rows = await self.store.run(
            lambda db: db.execute("SELECT source, tokens FROM sampling_usage").fetchall()
        )
        return dict(rows)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "prx.db")
    yield store
    await store.aclose()


@pytest.fixture
async def desk(store: Store) -> Desk:
    desk = Desk(store)
    await desk.open()
    return desk


async def test_the_configured_model_answers_unless_another_is_named(desk: Desk) -> None:
    answer = await desk.ask()
    assert answer.text == "answer 1"
    await desk.ask(model="m2", temperature=0.0, system="Be brief", stop=["END"])
    first, second = desk.model.asked
    assert (first.model, first.temperature, first.max_tokens) == ("m1", 0.5, 50)
    assert (second.model, second.temperature, second.system, second.stop) == ("m2", 0.0, "Be brief", ["END"])


async def test_what_it_takes_is_counted_for_the_source_and_for_the_day_and_outlives_the_daemon(
    desk: Desk,
) -> None:
    desk.model.script = [saying("a", usage=TokenUsage(30, 12)), saying("b", usage=TokenUsage(5, 3))]
    await desk.ask()
    await desk.ask(source="mcp:two")
    assert desk.budgets.today.tokens == 50
    assert await desk.used() == {"mcp:one": 42, "mcp:two": 8}
    again = Desk(desk.store)
    await again.open()
    assert again.budgets.today.tokens == 50
    with pytest.raises(BudgetError, match="mcp:one has used 42 of the 43 tokens"):
        await again.ask(a_day=43)
    await again.ask(source="mcp:two", a_day=43)


async def test_an_answer_gets_no_more_tokens_than_are_left(desk: Desk) -> None:
    desk.model.script = [saying("a", usage=TokenUsage(50, 10))]
    await desk.ask(a_day=100)
    await desk.ask(a_day=100)
    assert desk.model.asked[1].max_tokens == 39


async def test_a_new_day_brings_new_tokens(desk: Desk) -> None:
    desk.model.script = [saying("a", usage=TokenUsage(90, 10))]
    await desk.ask(a_day=100)
    with pytest.raises(BudgetError, match=r"sampling\.tokens_per_day"):
        await desk.ask(a_day=100)
    desk.clock.now = NOON + timedelta(days=1)
    await desk.ask(a_day=100)


async def test_a_long_question_counts_before_it_is_asked(desk: Desk) -> None:
    with pytest.raises(BudgetError, match="about 251 before there is an answer"):
        await desk.ask("x" * 1000, a_day=200)
    image = ChatMessage("user", "See", images=[Image("image/png", "")])
    with pytest.raises(BudgetError):
        await desk.ask(messages=[image], a_day=1000)
    assert desk.model.asked == []


async def test_the_agents_own_budget_for_the_day_holds_as_well(store: Store) -> None:
    desk = Desk(store, daily_tokens=40)
    await desk.open()
    desk.model.script = [saying("a", usage=TokenUsage(30, 12))]
    await desk.ask()
    with pytest.raises(UnavailableError, match=r"agent\.budgets\.daily_tokens"):
        await desk.ask()


async def test_a_provider_that_tells_no_usage_is_estimated(desk: Desk) -> None:
    desk.model.script = [["x" * 400, ChatAnswer("x" * 400)]]
    await desk.ask("y" * 40)
    assert desk.budgets.today.tokens == 111


async def test_a_question_that_is_given_up_counts_and_one_that_the_provider_refuses_does_not(
    desk: Desk,
) -> None:
    desk.model.script = [
        [ProviderError("busy")],
        ["x" * 40, ProviderError("cut")],
        ["x" * 80, asyncio.Event()],
    ]
    with pytest.raises(ProviderError, match="busy"):
        await desk.ask()
    assert desk.budgets.today.tokens == 0
    with pytest.raises(ProviderError, match="cut"):
        await desk.ask()
    assert desk.budgets.today.tokens == 11
    asking = asyncio.create_task(desk.ask())
    await eventually(lambda: len(desk.model.asked) == 3)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    assert desk.budgets.today.tokens == 11 + 21
    assert desk.model.closed == 1


async def test_what_is_being_answered_is_set_aside(desk: Desk) -> None:
    go_on = asyncio.Event()
    desk.model.script = [[go_on, *saying("a")] for _ in range(4)]
    asking = [asyncio.create_task(desk.ask(a_day=110)) for _ in range(2)]
    await eventually(lambda: len(desk.model.asked) == 2)
    with pytest.raises(BudgetError):
        await desk.ask("x" * 40, a_day=110)
    asking += [asyncio.create_task(desk.ask()) for _ in range(2)]
    await eventually(lambda: len(desk.model.asked) == 4)
    with pytest.raises(UnavailableError, match="4 answers are being made for mcp:one"):
        await desk.ask()
    await desk.ask(source="mcp:two")
    go_on.set()
    await asyncio.gather(*asking)
    await desk.ask()


async def test_the_builtin_provider_is_no_model(desk: Desk) -> None:
    desk.model.name = "builtin"
    with pytest.raises(ProviderConfigurationError, match=r"provider\.name"):
        await desk.ask()


class Guard:
    """Middleware that replaces a word on the way there and back, and blocks another one."""

    name = "guard"
    priorities: Mapping[Stage, int] = {"llm_request": 0, "llm_response": 0}

    def __init__(self) -> None:
        self.channels: list[str] = []

    async def process(self, stage: Stage, data: Any, _context: CallContext) -> Any:
        self.channels.append(data["channel"])
        if stage == "llm_response":
            return {**data, "content": data["content"].replace("secret", "***")}
        if "forbidden" in data["messages"][0]["content"]:
            raise ForbiddenError("not that word")
        return data


async def test_middleware_sees_what_is_asked_and_answered(desk: Desk) -> None:
    guard = Guard()
    desk.model.script = [saying("the secret")]
    with desk.pipeline.offering(guard):
        image = ChatMessage("user", "See", images=[Image("image/png", "aGk=")])
        answer = await desk.ask(messages=[image], a_day=10_000, stop=["END"])
        assert answer.text == "the ***"
        with pytest.raises(ForbiddenError):
            await desk.ask("forbidden")
    [asked] = desk.model.asked
    assert (asked.messages[0].images, asked.stop) == ([Image("image/png", "aGk=")], ["END"])
    assert set(guard.channels) == {"mcp:one"}


async def test_how_questions_ended_is_a_metric(desk: Desk) -> None:
    await desk.ask()
    with pytest.raises(BudgetError):
        await desk.ask(a_day=1)
    answers, tokens = desk.sampling.metrics()
    assert dict(answers.samples) == {("answered",): 1, ("budget_exceeded",): 1}
    assert dict(tokens.samples) == {("mcp:one",): 5}


async def test_a_store_that_takes_nothing_more_costs_no_answer(desk: Desk) -> None:
    await desk.store.aclose()
    assert (await desk.ask()).text == "answer 1"
    assert desk.budgets.today.tokens == 5
