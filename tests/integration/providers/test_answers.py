"""What models answer over the vendors' real protocols: texts in pieces, tools, usage, prices."""

import json

import pytest

from prx.core.provider import ChatMessage, Image, ToolRequest
from prx.core.session import TokenUsage
from tests.integration.providers.asking import HELLO, KEY, TOOLS, Asking
from tests.support.model_dialects import Call, Dialect, GenerateContent, Messages, Said
from tests.support.model_server import ModelServer

PARIS = Call("call_1", "weather", ['{"city": ', '"Paris"}'])
ROME = Call("call_2", "weather", ['{"city":', ' "Rome"', "}"])


async def test_a_text_comes_in_pieces_and_then_whole(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server, temperature=0.5)
    server.replies.append(dialect.answer(Said(["Good ", "day", "!"], input=50, output=7, cached=10)))
    pieces, answer = await asking.ask(system="Be kind.", temperature=0.5, max_tokens=99)
    assert pieces == ["Good ", "day", "!"]
    assert (answer.text, answer.finish, answer.tool_calls) == ("Good day!", "stop", [])
    assert (answer.usage, answer.cached_tokens) == (TokenUsage(50, 7), 10)
    assert (answer.provider, answer.model) == ("it", "m")
    (received,) = server.received
    asked = dialect.asked(received.body)
    assert asked.stream
    assert asked.system == "Be kind."
    assert KEY in received.headers[dialect.key_header]
    assert "0.5" in json.dumps(received.body)
    assert "99" in json.dumps(received.body)


async def test_a_model_asks_for_tools_at_once_and_gets_what_each_gave_back(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies.append(dialect.answer(Said(["I look."], [PARIS, ROME])))
    pieces, answer = await asking.ask(tools=TOOLS)
    assert pieces == ["I look."]
    assert answer.finish == "tool_calls"
    assert [(call.name, json.loads(call.arguments)) for call in answer.tool_calls] == [
        ("weather", {"city": "Paris"}),
        ("weather", {"city": "Rome"}),
    ]
    first, second = answer.tool_calls
    assert first.id != second.id

    server.replies.append(dialect.answer(Said(["Sunny in Paris."])))
    history = [
        *HELLO,
        ChatMessage("assistant", answer.text, answer.tool_calls, opaque=answer.opaque),
        ChatMessage("tool", "sunny", tool_call_id=first.id),
        ChatMessage("tool", "no such city", tool_call_id=second.id, failed=True),
    ]
    assert (await asking.ask(history, tools=TOOLS))[1].text == "Sunny in Paris."
    asked = dialect.asked(server.received[1].body)
    assert asked.tools == ["weather"]
    sunny, missing = asked.results
    assert sunny == ("sunny", False)
    # Where the protocol has no mark for a failure, the text says it.
    assert missing in (("no such city", True), ('{"error":"no such city"}', False))


async def test_tools_are_asked_for_without_a_word(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies.append(dialect.answer(Said(calls=[PARIS])))
    pieces, answer = await asking.ask(tools=TOOLS)
    assert (pieces, answer.text, len(answer.tool_calls)) == ([], "", 1)


async def test_a_conversation_of_another_provider_goes_on(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies.append(dialect.answer(Said(["Yes."])))
    history = [
        *HELLO,
        ChatMessage(
            "assistant", "", [ToolRequest("x", "weather", '{"city": "Oslo"}')], opaque="plugin's own"
        ),
        ChatMessage("tool", "rain", tool_call_id="x"),
        ChatMessage("assistant", "Rain."),
        ChatMessage("user", "Really?"),
    ]
    assert (await asking.ask(history, tools=TOOLS))[1].text == "Yes."
    assert [text for text, _ in dialect.asked(server.received[0].body).results] == ["rain"]


@pytest.mark.parametrize("dialect", [Messages(), GenerateContent()], ids=["anthropic", "google"])
async def test_signed_thoughts_go_back_to_whom_they_came_from(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies.append(dialect.answer(Said(["I look."], [PARIS], signature="c2lnbmVk")))
    pieces, answer = await asking.ask(tools=TOOLS)
    assert pieces == ["I look."]
    (call,) = answer.tool_calls
    server.replies.append(dialect.answer(Said(["Sunny."])))
    history = [
        *HELLO,
        ChatMessage("assistant", answer.text, answer.tool_calls, opaque=answer.opaque),
        ChatMessage("tool", "sunny", tool_call_id=call.id),
    ]
    await asking.ask(history, tools=TOOLS)
    assert "c2lnbmVk" in json.dumps(server.received[1].body)
    assert "c2lnbmVk" not in json.dumps(server.received[0].body)


async def test_a_model_is_shown_images_and_told_where_to_stop(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies.append(dialect.answer(Said(["A red point."])))
    message = ChatMessage("user", "What is this?", images=[Image("image/png", "cmVkIHBvaW50")])
    assert (await asking.ask([message], stop=["THE END"]))[1].text == "A red point."
    (received,) = server.received
    assert "cmVkIHBvaW50" in json.dumps(received.body)
    assert "image/png" in json.dumps(received.body)
    assert "What is this?" in json.dumps(received.body)
    # One protocol has no way to say so.
    assert ("THE END" in json.dumps(received.body)) == (dialect.kind != "openai-responses")
