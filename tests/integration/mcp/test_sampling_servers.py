"""A server has the agent's model answer: where its table lets it, in both eras of MCP, and within its budget."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from prx.agent.budgets import Budgets
from prx.agent.sampling import Sampling
from prx.config.schema import BudgetsConfig, ProviderConfig
from prx.core.ids import now_utc
from prx.core.session import TokenUsage
from prx.runtime.pipeline import Pipeline
from prx.runtime.store import Store
from tests.integration.mcp.test_asking_servers import ERAS, Person, answers, ask, asking
from tests.support.agents import Model, saying
from tests.support.mcp_host import McpHost, mcp_host


@asynccontextmanager
async def sampling(home: Path, model: Model, **table: Any) -> AsyncIterator[McpHost]:
    """A server that may ask `model`, as its table says."""
    (home / "agent").mkdir()
    store = await Store.open(home / "agent/prx.db")
    budgets = Budgets(BudgetsConfig, now_utc)
    provider = ProviderConfig(model="m1")
    sampler = await Sampling.open(model, budgets, Pipeline(), store, lambda: provider, now_utc)
    async with mcp_host(home, {"one": asking(**table)}, sampler=sampler) as host:
        await host.until("connected", within_secs=60)
        yield host
    await store.aclose()


@pytest.mark.parametrize(("handshake", "_version"), ERAS)
async def test_the_agents_model_answers_whoever_calls(tmp_path: Path, handshake: str, _version: str) -> None:
    model, person = Model(), Person({}, sampling={})
    table = {"handshake": handshake, "ask_clients": True, "sampling": {"tokens_per_day": 1000}}
    async with sampling(tmp_path, model, **table) as host:
        for by in (None, person):
            found = answers(await ask(host, "sampling/createMessage", by=by))["sampling/createMessage"]
            assert found["content"]["text"] == f"answer {len(model.asked)}"
            assert (found["role"], found["model"], found["stopReason"]) == ("assistant", "m1", "endTurn")
    assert [(each.messages[0].content, each.max_tokens) for each in model.asked] == [("Hi", 50)] * 2
    assert person.asked == []


@pytest.mark.parametrize(("handshake", "_version"), ERAS)
async def test_a_server_is_told_that_its_budget_is_used(
    tmp_path: Path, handshake: str, _version: str
) -> None:
    model = Model(saying("a", usage=TokenUsage(90, 10)))
    async with sampling(tmp_path, model, handshake=handshake, sampling={"tokens_per_day": 100}) as host:
        assert answers(await ask(host, "sampling/createMessage"))
        refused = await ask(host, "sampling/createMessage")
        assert refused.error is not None
        assert "mcp:one has used 100 of the 100 tokens" in refused.error.message
        assert len(model.asked) == 1


@pytest.mark.parametrize(("handshake", "_version"), ERAS)
async def test_a_server_whose_table_does_not_say_so_asks_no_model(
    tmp_path: Path, handshake: str, _version: str
) -> None:
    model = Model()
    async with sampling(tmp_path, model, handshake=handshake, roots=["/srv"]) as host:
        assert json.loads(await host.output("can")).keys() == {"roots"}
        refused = await ask(host, "sampling/createMessage")
        assert refused.error is not None
        assert model.asked == []
