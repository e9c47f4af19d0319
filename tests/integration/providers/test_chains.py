"""Which provider answers: the configured one, those behind it, and what `/status` says of each."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from prx.core.provider import (
    ChatAnswer,
    ChatMessage,
    ChatRequest,
    ProviderConfigurationError,
    ProviderError,
    ProviderUnavailableError,
)
from prx.core.tool import CallContext
from tests.integration.providers.asking import HELLO, KEY, Asking, table
from tests.support.model_dialects import ChatCompletions, Dialect, GenerateContent, Messages, Said
from tests.support.model_server import ModelServer, drop, hold
from tests.support.waiting import PATIENCE_SECS, eventually

CHAT, CLAUDE, GEMINI = ChatCompletions(), Messages(), GenerateContent()
FINE = Said(["Fine."])


class Parrot:
    """A plugin's provider."""

    name = "parrot"

    def __init__(self) -> None:
        self.asked: list[ChatRequest] = []
        self.fails: list[ProviderError] = []

    async def chat(
        self, request: ChatRequest, _context: CallContext
    ) -> AsyncGenerator[str | ChatAnswer, None]:
        self.asked.append(request)
        if self.fails:
            raise self.fails.pop(0)
        yield request.messages[-1].content
        yield ChatAnswer(request.messages[-1].content)


def three(asking: Asking, server: ModelServer, **keys: Any) -> None:
    """Configure one provider and two behind it."""
    asking.configure(
        name="first",
        fallback=["second/claude", "third/gemini"],
        others={
            name: table(dialect, server)
            for name, dialect in (("first", CHAT), ("second", CLAUDE), ("third", GEMINI))
        },
        **{"max_retries": 0, **keys},
    )


async def test_the_next_provider_answers_with_its_own_model_when_one_fails(
    asking: Asking, server: ModelServer
) -> None:
    three(asking, server)
    server.replies += [CHAT.error(500, "down"), CLAUDE.error(401, "no"), GEMINI.answer(FINE, "gemini-1")]
    _, answer = await asking.ask()
    assert (answer.text, answer.provider, answer.model) == ("Fine.", "third", "gemini-1")
    first, second, third = server.received
    assert (first.body["model"], second.body["model"]) == ("m", "claude")
    assert third.path.endswith("/models/gemini:streamGenerateContent")
    assert [problem.unit for problem in asking.providers.problems()] == ["provider.first", "provider.second"]


async def test_where_nobody_answers_each_reason_is_told_and_when_it_is_worth_it_to_ask_again(
    asking: Asking, server: ModelServer
) -> None:
    three(asking, server)
    server.replies += [
        CHAT.error(429, "busy", Retry_After="90"),
        CLAUDE.error(400, "no"),
        GEMINI.error(429, "full", Retry_After="30"),
    ]
    with pytest.raises(ProviderUnavailableError) as caught:
        await asking.ask()
    assert caught.value.retry_after_secs == 30
    for words in ("busy", "refused the request (HTTP 400): no", "full"):
        assert words in caught.value.message


async def test_a_chain_that_nobody_can_use_needs_configuration(asking: Asking, server: ModelServer) -> None:
    three(asking, server)
    server.replies += [CHAT.error(401, "a"), CLAUDE.error(401, "b"), GEMINI.error(401, "c")]
    with pytest.raises(ProviderConfigurationError, match="no provider answered"):
        await asking.ask()


async def test_half_an_answer_is_never_finished_by_another_provider(
    asking: Asking, server: ModelServer
) -> None:
    three(asking, server)
    server.replies.append(CHAT.answer(FINE).cut_after(2, drop))
    pieces: list[str] = []
    with pytest.raises(ProviderUnavailableError):
        await asking.ask(pieces=pieces)
    assert pieces == ["Fine."]
    assert len(server.received) == 1


async def test_nobody_waits_long_for_one_provider_while_there_is_another(
    asking: Asking, server: ModelServer
) -> None:
    three(asking, server, max_retries=1)
    server.replies += [
        CHAT.error(429, "in a minute", Retry_After="60"),
        CLAUDE.error(429, "soon", Retry_After="5"),
        CLAUDE.error(429, "not yet", Retry_After="5"),
        GEMINI.error(429, "in a minute", Retry_After="60"),
        GEMINI.answer(FINE),
    ]
    assert (await asking.ask())[1].provider == "third"
    assert asking.pauses == [5.0, 60.0]


async def test_the_same_provider_may_stand_in_with_another_model(asking: Asking, server: ModelServer) -> None:
    asking.use(CHAT, server, fallback=["it/small"], max_retries=0)
    server.replies += [CHAT.error(503, "the large one is down"), CHAT.answer(FINE, "small")]
    assert (await asking.ask())[1].model == "small"
    assert [received.body["model"] for received in server.received] == ["m", "small"]


async def test_a_changed_configuration_counts_from_the_next_request_on(
    asking: Asking, server: ModelServer
) -> None:
    asking.use(CHAT, server)
    asking.providers.reconfigured()
    running = CHAT.answer(Said(["slow ", "words"]))
    server.replies.append(running.cut_after(2, hold))
    answer = asking.providers.chat(ChatRequest(HELLO, "m"), CallContext())
    assert await anext(answer) == "slow "

    asking.use(CLAUDE, server)
    asking.providers.reconfigured()
    server.replies.append(CLAUDE.answer(FINE))
    assert (await asking.ask())[1].text == "Fine."
    assert server.received[1].path == "/v1/messages"
    # The request that was under way is its caller's to end.
    assert not server.left.is_set()
    await answer.aclose()
    await asyncio.wait_for(server.left.wait(), PATIENCE_SECS)


async def test_a_changed_key_is_used_and_the_old_ones_failure_forgotten(
    asking: Asking, server: ModelServer
) -> None:
    asking.use(CHAT, server)
    server.replies.append(CHAT.error(401, "no"))
    with pytest.raises(ProviderConfigurationError):
        await asking.ask()
    assert asking.providers.problems() != []
    asking.configure(name="it", others={"it": {**table(CHAT, server), "api_key": "another"}})
    asking.providers.reconfigured()
    assert asking.providers.problems() == []
    server.replies.append(CHAT.answer(FINE))
    await asking.ask()
    assert server.received[1].headers["Authorization"] == "Bearer another"


async def test_a_plugins_provider_is_one_like_any_other(asking: Asking, server: ModelServer) -> None:
    parrot = Parrot()
    asking.configure(name="parrot", fallback=["it/m"], others={"it": table(CHAT, server)})
    assert [problem.unit for problem in asking.providers.problems()] == ["provider.parrot"]
    with asking.offered.offering("parrot", parrot, "plugin:parrot"):
        assert asking.providers.problems() == []
        pieces, answer = await asking.ask([ChatMessage("user", "Polly")])
        assert (pieces, answer.provider, answer.model) == (["Polly"], "parrot", "m")
        parrot.fails = [ProviderUnavailableError("asleep", retry_after_secs=2.0), ProviderError("gone")]
        server.replies.append(CHAT.answer(FINE))
        assert (await asking.ask())[1].provider == "it"
        assert asking.pauses == [2.0]
        assert len(parrot.asked) == 3


async def test_an_unknown_name_is_a_problem_that_says_what_there_is(asking: Asking) -> None:
    asking.configure(name="antropic")
    (problem,) = asking.providers.problems()
    assert problem.unit == "provider.antropic"
    assert 'there is no provider "antropic"; perhaps "anthropic" is meant' in problem.reason
    with pytest.raises(ProviderConfigurationError, match="perhaps"):
        await asking.ask()


@pytest.mark.parametrize("host", ["exa mple.com", "a" * 300])
async def test_an_address_that_only_the_client_library_refuses_is_a_failure_like_any_other(
    asking: Asking, dialect: Dialect, host: str
) -> None:
    own = {"type": dialect.kind, "base_url": f"http://{host}:9/v1", "api_key": KEY}
    asking.configure(name="it", others={"it": own}, max_retries=0)
    with pytest.raises(ProviderError):
        await asking.ask()


async def test_a_provider_without_a_model_is_a_problem(asking: Asking, server: ModelServer) -> None:
    asking.use(CHAT, server, model="builtin", fallback=["ollama"])
    reasons = [problem.reason for problem in asking.providers.problems()]
    assert "set provider.model" in reasons[0]
    assert 'write "ollama/MODEL" in provider.fallback' in reasons[1]
    with pytest.raises(ProviderConfigurationError, match=r"set provider.model.*ollama/MODEL"):
        await asking.ask()


async def test_what_is_not_installed_is_told_at_once(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prx.agent.providers.endpoints.find_spec", lambda _: None)
    asking.configure(name="ollama")
    asking.providers.reconfigured()
    await eventually(asking.providers.problems)
    (problem,) = asking.providers.problems()
    assert 'pip install "prx[openai]"' in problem.reason
    with pytest.raises(ProviderConfigurationError, match="not installed"):
        await asking.ask()


async def test_what_was_asked_and_what_it_cost_is_counted(asking: Asking, server: ModelServer) -> None:
    asking.use(CLAUDE, server, max_retries=0)
    server.replies += [
        CLAUDE.answer(Said(["a"], input=100_000, output=1000, cached=40_000), "claude-sonnet-4-5"),
        CLAUDE.error(500, "x"),
    ]
    _, answer = await asking.ask()
    assert answer.cost_usd is not None
    # 60,000 tokens at 3 dollars a million, 40,000 from the cache at 0.3, 1,000 of output at 15.
    assert answer.cost_usd == pytest.approx(0.18 + 0.012 + 0.015)
    with pytest.raises(ProviderError):
        await asking.ask()
    counts = {metric.name: dict(metric.samples) for metric in asking.providers.metrics()}
    assert counts["prx_provider_answers"] == {("it", "answered"): 1, ("it", "failed"): 1}
    assert counts["prx_provider_tokens"] == {
        ("it", "input"): 100_000,
        ("it", "output"): 1000,
        ("it", "cached"): 40_000,
    }
    assert counts["prx_provider_cost_usd"] == {("it",): answer.cost_usd}


async def test_a_request_that_nobody_waits_for_any_more_is_counted_as_given_up(
    asking: Asking, server: ModelServer
) -> None:
    asking.use(CHAT, server)
    server.replies.append(CHAT.answer(FINE).cut_after(2, hold))
    answer = asking.providers.chat(ChatRequest(HELLO, "m"), CallContext())
    await anext(answer)
    await answer.aclose()
    counts = {metric.name: dict(metric.samples) for metric in asking.providers.metrics()}
    assert counts["prx_provider_answers"] == {("it", "given_up"): 1}


async def test_a_key_is_in_no_error_and_no_problem(asking: Asking, server: ModelServer) -> None:
    three(asking, server)
    for dialect in (CHAT, CLAUDE, GEMINI):
        server.replies.append(dialect.error(400, f"bad {KEY}, {KEY}"))
    with pytest.raises(ProviderError) as caught:
        await asking.ask()
    assert KEY not in caught.value.message
    assert caught.value.message.count("***REDACTED***") == 6
