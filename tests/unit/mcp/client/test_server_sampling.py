"""A server's question to a model, as MCP writes it, and the answer that it gets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.config.integrations import SamplingConfig
from prx.core.errors import UnavailableError
from prx.core.provider import ChatAnswer, ChatMessage, ChatRequest, Image, ProviderError
from prx.core.upstream import UpstreamError
from prx.mcp.client.sampling import Sampling


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


IMAGE = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
HELLO = ChatAnswer("Hello", model="m1")
HI = [{"role": "user", "content": text("Hi")}]


class Sampler:
    """Answers as it is told to, and remembers what it was asked."""

    def __init__(self, answer: ChatAnswer | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, ChatRequest, int]] = []

    async def sample(self, source: str, request: ChatRequest, tokens_per_day: int) -> ChatAnswer:
        self.asked.append((source, request, tokens_per_day))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def sampled(
    params: Any, answer: ChatAnswer | Exception = HELLO, **config: Any
) -> tuple[ChatRequest, Any]:
    sampler = Sampler(answer)
    asking = Sampling("one", SamplingConfig.model_validate({"tokens_per_day": 99, **config}), sampler)
    result = await asking({"messages": HI, "maxTokens": 10, **params})
    [(source, request, tokens_per_day)] = sampler.asked
    assert (source, tokens_per_day) == ("mcp:one", 99)
    return request, result


async def test_a_question_is_asked_as_it_is_and_answered() -> None:
    request, result = await sampled(
        {"systemPrompt": "Be brief", "temperature": 1, "stopSequences": ["END", ""], "metadata": {"a": 1}}
    )
    assert request == ChatRequest(
        [ChatMessage("user", "Hi", images=[])], "", "Be brief", temperature=1, max_tokens=10, stop=["END"]
    )
    assert result == {
        "role": "assistant",
        "content": text("Hello"),
        "model": "m1",
        "stopReason": "endTurn",
    }


async def test_what_one_side_says_in_several_messages_and_blocks_is_one_message() -> None:
    messages = [
        {"role": "user", "content": [text("one"), IMAGE, text("two")]},
        {"role": "user", "content": IMAGE},
        {"role": "assistant", "content": text("three")},
        {"role": "user", "content": text("four")},
    ]
    request, _ = await sampled({"messages": messages})
    image = Image("image/png", "aGk=")
    assert request.messages == [
        ChatMessage("user", "one\n\ntwo", images=[image, image]),
        ChatMessage("assistant", "three", images=[]),
        ChatMessage("user", "four", images=[]),
    ]


async def test_an_answer_has_no_more_tokens_than_the_table_allows() -> None:
    request, _ = await sampled({"maxTokens": 5000}, max_tokens=64)
    assert request.max_tokens == 64


@pytest.mark.parametrize(
    ("hints", "model"),
    [
        ([{"name": "sonnet"}], "claude-sonnet-5"),
        ([{"name": "gpt"}, {"name": "Haiku"}, {"name": "sonnet"}], "claude-haiku-5"),
        ([{"name": "gpt"}], ""),
        ([{"name": ""}, {}, None], ""),
        (None, ""),
        ("sonnet", ""),
    ],
)
async def test_a_server_chooses_among_the_models_that_it_may(hints: Any, model: str) -> None:
    models = ["claude-haiku-5", "claude-sonnet-5"]
    request, _ = await sampled({"modelPreferences": {"hints": hints}}, models=models)
    assert request.model == model


@pytest.mark.parametrize(
    ("answer", "said", "reason"),
    [
        (ChatAnswer("one END two STOP"), "one ", "stopSequence"),
        (ChatAnswer("one STOP two END"), "one ", "stopSequence"),
        (ChatAnswer("one", finish="length"), "one", "maxTokens"),
        (ChatAnswer("", finish="refused"), "", "refusal"),
        (ChatAnswer("one", finish="other"), "one", "other"),
    ],
)
async def test_an_answer_ends_where_it_should_and_says_why(
    answer: ChatAnswer, said: str, reason: str
) -> None:
    _, result = await sampled({"stopSequences": ["END", "STOP"]}, answer)
    assert (result["content"]["text"], result["stopReason"]) == (said, reason)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"messages": []}, "list of 1 to 256"),
        ({"messages": HI * 257}, "list of 1 to 256"),
        ({"messages": "Hi"}, "list of 1 to 256"),
        ({"messages": [{"role": "system", "content": text("Hi")}]}, "role of a message"),
        ({"messages": ["Hi"]}, "role of a message"),
        ({"messages": [{"role": "user"}]}, "content has to be"),
        ({"messages": [{"role": "user", "content": {"type": "text"}}]}, "content has to be"),
        ({"messages": [{"role": "user", "content": {"type": "audio", "data": ""}}]}, "and no audio"),
        ({"messages": [{"role": "user", "content": {"type": "tool_use"}}]}, "and no tool_use"),
        ({"messages": [{"role": "user", "content": IMAGE | {"data": "!"}}]}, "base64"),
        ({"messages": [{"role": "user", "content": IMAGE | {"mimeType": "text/html"}}]}, "content has to be"),
        ({"messages": [{"role": "assistant", "content": IMAGE}, *HI]}, "messages of the user"),
        ({"messages": [*HI, {"role": "assistant", "content": text("I")}]}, "the user's"),
        ({"messages": [{"role": "assistant", "content": text("I")}, *HI]}, "the user's"),
        ({"maxTokens": 0}, "maxTokens"),
        ({"maxTokens": True}, "maxTokens"),
        ({"temperature": "hot"}, "temperature has to be a number"),
        ({"systemPrompt": 1}, "systemPrompt has to be a text"),
        ({"stopSequences": "END"}, "stopSequences"),
        ({"stopSequences": ["x"] * 17}, "stopSequences"),
        ({"tools": [{"name": "t"}]}, "without tools"),
    ],
)
async def test_what_is_no_question_is_refused_and_not_asked(params: Any, reason: str) -> None:
    with pytest.raises(UpstreamError, match=reason) as refusal:
        await sampled(params, AssertionError("not to be asked"))
    assert refusal.value.number == -32602


async def test_a_server_learns_why_the_model_is_not_asked_and_nothing_of_the_provider() -> None:
    with pytest.raises(UpstreamError, match="the model is not asked: 5 of 4 tokens") as denied:
        await sampled({}, UnavailableError("5 of 4 tokens"))
    assert denied.value.number == -1
    with pytest.raises(UpstreamError, match="the model gave no answer: the daemon's log") as failed:
        await sampled({}, ProviderError("the key sk-1 is not valid"))
    assert failed.value.number == -32603


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "data", "mimeType", "hints", "name"]), inner
        )
    ),
    max_leaves=12,
)


KEYS = ("messages", "maxTokens", "temperature", "systemPrompt", "stopSequences", "modelPreferences")
questions = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, json))


@given(questions)
async def test_whatever_a_server_writes_is_answered_or_refused(params: Any) -> None:
    try:
        _, result = await sampled(params)
    except UpstreamError:
        return
    assert result["role"] == "assistant"
