"""The provider that needs no key."""

import json
from typing import Any

import pytest

from prx.agent.providers.builtin import BuiltinProvider
from prx.core.provider import ChatAnswer, ChatMessage, ChatRequest
from prx.core.skill import Skill
from prx.core.tool import CallContext, ToolSpec

REVIEW = Skill("code_review", "builtin", "Review code", ("/review", "review this"))
TEXT = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
TOOLS = [
    ToolSpec("get_weather", "The weather\nof a city", TEXT, "plugin:weather"),
    ToolSpec("add", "x" * 200, {"type": "object"}, "builtin"),
]


def skill_for(text: str) -> Skill | None:
    return REVIEW if text.startswith(("/review", "review this")) else None


async def said(*messages: ChatMessage | str, tools: list[ToolSpec] = TOOLS) -> ChatAnswer:
    """Return what it answers, after checking that the text came before it."""
    conversation = [ChatMessage("user", each) if isinstance(each, str) else each for each in messages]
    provider = BuiltinProvider(skill_for, lambda: [REVIEW])
    *pieces, answer = [
        piece async for piece in provider.chat(ChatRequest(conversation, "large", tools=tools), CallContext())
    ]
    assert isinstance(answer, ChatAnswer)
    # Whatever model was asked for, of another provider perhaps.
    assert answer.model == "builtin"
    assert "".join(map(str, pieces)) == answer.text
    return answer


@pytest.mark.parametrize(
    ("message", "name", "arguments"),
    [
        ('/get_weather {"city": "Bern", "days": 2}', "get_weather", {"city": "Bern", "days": 2}),
        ("  /get_weather Den Haag ", "get_weather", {"city": "Den Haag"}),
        ("/add", "add", {}),
        ("[Ada (1)]: /add", "add", {}),
        ('/add  {"a": 1}', "add", {"a": 1}),
        ('/add\n{\n  "a": 1\n}', "add", {"a": 1}),
        ('/add\t{"a": 1}', "add", {"a": 1}),
    ],
)
async def test_a_command_calls_a_tool(message: str, name: str, arguments: dict[str, Any]) -> None:
    answer = await said(message)
    [call] = answer.tool_calls
    assert (call.name, json.loads(call.arguments), answer.finish) == (name, arguments, "tool_calls")


async def test_arguments_that_are_none_go_to_the_tool_as_they_are() -> None:
    [call] = (await said("/add 1 2")).tool_calls
    assert call.arguments == "1 2"


async def test_what_tools_gave_back_is_the_answer() -> None:
    asked = await said("/add")
    answer = await said(
        "/add",
        ChatMessage("assistant", "", asked.tool_calls),
        ChatMessage("tool", "3", tool_call_id="1"),
        ChatMessage("tool", "out of ink", tool_call_id="2", failed=True),
    )
    assert answer.text == "3\n\nThe tool failed: out of ink"


async def test_an_unknown_command_is_answered_with_what_may_be_meant() -> None:
    answer = await said("/get_wether Bern")
    assert (
        answer.text
        == 'There is no tool "get_wether". Did you mean /get_weather? Write "help" to see what there is.'
    )


async def test_a_skill_is_named_and_said_to_need_a_model() -> None:
    for message in ("review this: x = 1", "/review x = 1"):
        answer = await said(message)
        assert answer.text.startswith('This is for the skill "code_review": Review code\n')
        assert "prx config set provider.name" in answer.text


@pytest.mark.parametrize("message", ["/help", "what can you do?"])
async def test_everything_else_is_answered_with_what_there_is(message: str) -> None:
    text = (await said(message)).text
    assert "No language model is configured" in text
    assert "  /get_weather  The weather of a city\n" in text
    assert f"  /add  {'x' * 99}…\n" in text
    assert "  /review, review this  Review code" in text


async def test_a_long_list_is_cut() -> None:
    many = [ToolSpec(f"tool_{number}", "", {"type": "object"}, "builtin") for number in range(60)]
    assert "  and 10 more" in (await said("/help", tools=many)).text
    assert "There are no tools yet" in (await said("/help", tools=[])).text
