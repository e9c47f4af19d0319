"""Conversations on their way into the client library's words and back."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.usage import RequestUsage

from prx.agent.providers.messages import to_answer, to_messages, to_parameters
from prx.core.provider import ChatMessage, ChatRequest, ToolRequest
from prx.core.tool import ToolSpec

texts = st.text(max_size=30)
calls = st.builds(ToolRequest, st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8), texts)
messages = st.one_of(
    st.builds(ChatMessage, st.just("user"), texts),
    st.builds(
        ChatMessage,
        st.just("assistant"),
        texts,
        st.lists(calls, max_size=3),
        opaque=st.none() | texts | texts.map("pydantic-ai:{}".format),
    ),
    st.builds(ChatMessage, st.just("tool"), texts, tool_call_id=st.none() | texts, failed=st.booleans()),
)


@given(st.lists(messages, max_size=8))
def test_any_conversation_is_requests_and_responses_with_all_that_was_said(said: list[ChatMessage]) -> None:
    conversation = to_messages(said)
    for one, next_one in pairwise(conversation):
        assert not (isinstance(one, ModelRequest) and isinstance(next_one, ModelRequest))
    found: list[object] = []
    for message in conversation:
        for part in message.parts:
            match part:
                case TextPart() | ToolReturnPart() | UserPromptPart():
                    found.append(part.content)
                case ToolCallPart():
                    found.append((part.tool_call_id, part.tool_name, part.args))
    expected: list[object] = []
    for each in said:
        if each.role != "assistant":
            expected.append(each.content)
            continue
        expected += [each.content] if each.content else []
        expected += [(call.id, call.name, call.arguments) for call in each.tool_calls]
    assert found == expected


THOUGHT = ModelResponse(
    parts=[
        ThinkingPart("Hm.", signature="signed", provider_name="anthropic"),
        TextPart("Yes"),
        TextPart("!"),
        ToolCallPart("weather", {"city": "Paris"}, "c1"),
    ],
    usage=RequestUsage(input_tokens=10, output_tokens=3, cache_read_tokens=4),
    model_name="m",
    provider_name="anthropic",
    finish_reason="tool_call",
)


def test_signed_thoughts_are_given_back_as_they_came() -> None:
    answer = to_answer(THOUGHT, "it")
    assert (answer.text, answer.finish, answer.cached_tokens) == ("Yes!", "tool_calls", 4)
    message = ChatMessage("assistant", answer.text, answer.tool_calls, opaque=answer.opaque)
    (response,) = to_messages([message])
    assert response == THOUGHT


def test_thoughts_of_an_answer_that_was_changed_since_are_left_out() -> None:
    answer = to_answer(THOUGHT, "it")
    message = ChatMessage("assistant", "No!", answer.tool_calls, opaque=answer.opaque)
    (response,) = to_messages([message])
    assert [type(part) for part in response.parts] == [TextPart, ToolCallPart]
    other = ChatMessage("assistant", answer.text, [ToolRequest("c2", "x", "{}")], opaque=answer.opaque)
    assert [type(part) for part in to_messages([other])[0].parts] == [TextPart, ToolCallPart]


def test_what_text_and_calls_say_is_not_kept_twice() -> None:
    plain = ModelResponse(parts=[TextPart("Yes"), ToolCallPart("weather", "{}", "c")], finish_reason="stop")
    answer = to_answer(plain, "it")
    assert answer.opaque is None
    assert answer.cost_usd is None


def test_thoughts_without_measure_are_not_kept() -> None:
    endless = ModelResponse(parts=[ThinkingPart("x" * (2 << 20)), TextPart("Yes")], finish_reason="length")
    answer = to_answer(endless, "it")
    assert (answer.text, answer.opaque, answer.finish) == ("Yes", None, "length")


def test_arguments_given_as_an_object_are_json() -> None:
    (call,) = to_answer(THOUGHT, "it").tool_calls
    assert json.loads(call.arguments) == {"city": "Paris"}


def test_a_refusal_is_told_as_one() -> None:
    assert to_answer(ModelResponse(parts=[], finish_reason="content_filter"), "it").finish == "refused"


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {"city": {"type": "string"}}},
        {"type": "object"},
        {"type": "object", "anyOf": [{"required": ["city"]}, {"required": ["zip"]}]},
        {"oneOf": [{"type": "object"}, {"type": "object"}], "$defs": {"a": {"anyOf": []}}},
    ],
)
def test_a_tool_is_described_as_an_object_that_every_provider_takes(schema: dict[str, Any]) -> None:
    request = ChatRequest([], "m", tools=[ToolSpec("weather", "Tells it.", schema, "plugin:weather")])
    (tool,) = to_parameters(request).function_tools
    assert tool.parameters_json_schema["type"] == "object"
    assert "properties" in tool.parameters_json_schema
    assert not {"anyOf", "oneOf"} & tool.parameters_json_schema.keys()
    for key in {"anyOf", "oneOf"} & schema.keys():
        assert json.dumps({key: schema[key]}) in (tool.description or "")
    assert (tool.description == "Tells it.") == (not {"anyOf", "oneOf"} & schema.keys())
