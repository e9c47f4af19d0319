"""What becomes of everything that can go wrong between PRX and a model."""

import asyncio
import json

import pytest

from prx.core.provider import (
    ChatMessage,
    ChatRequest,
    ConversationTooLongError,
    ProviderConfigurationError,
    ProviderError,
    ProviderUnavailableError,
    ToolRequest,
)
from prx.core.tool import CallContext
from tests.integration.providers.asking import HELLO, KEY, TOOLS, Asking
from tests.support.model_dialects import Call, ChatCompletions, Dialect, Messages, Said
from tests.support.model_server import ModelServer, Reply, drop, finish, hold, json_reply
from tests.support.waiting import PATIENCE_SECS, eventually

FINE = Said(["All ", "is ", "well."])
CHAT = ChatCompletions()


async def failure(asking: Asking) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await asking.ask()
    assert KEY not in caught.value.message
    return caught.value


async def test_a_rate_limit_is_waited_for_as_long_as_the_server_says(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies += [dialect.error(429, "slow down", Retry_After="7"), dialect.answer(FINE)]
    assert (await asking.ask())[1].text == "All is well."
    assert asking.pauses == [7.0]
    assert asking.providers.problems() == []


async def test_a_wait_longer_than_an_answer_may_take_is_left_to_the_caller(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies.append(dialect.error(429, "come back tomorrow", Retry_After="86400"))
    error = await failure(asking)
    assert isinstance(error, ProviderUnavailableError)
    assert error.retry_after_secs == 86400
    assert asking.pauses == []
    assert "limits the rate (HTTP 429): come back tomorrow" in error.message


async def test_a_server_that_fails_is_asked_again_after_growing_pauses_and_then_given_up(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server, max_retries=3)
    server.replies += [dialect.error(status, "oh no") for status in (500, 502, 503, 500)]
    error = await failure(asking)
    assert isinstance(error, ProviderUnavailableError)
    assert "failed (HTTP 500): oh no" in error.message
    assert asking.pauses == [0.5, 1.0, 2.0]
    (problem,) = asking.providers.problems()
    assert (problem.unit, problem.reason) == ("provider.it", error.message)

    server.replies.append(dialect.answer(FINE))
    await asking.ask()
    assert asking.providers.problems() == []


async def test_a_wrong_key_is_the_operators_to_mend_and_is_not_tried_again(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies.append(dialect.error(401, f"invalid key {KEY}"))
    error = await failure(asking)
    assert isinstance(error, ProviderConfigurationError)
    assert (
        "refused the key (HTTP 401): invalid key ***REDACTED***; set provider.others.it.api_key"
        in error.message
    )
    assert [problem.unit for problem in asking.providers.problems()] == ["provider.it"]


async def test_an_unknown_model_is_the_operators_to_mend(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies.append(dialect.error(404, "there is no model m"))
    error = await failure(asking)
    assert isinstance(error, ProviderConfigurationError)
    assert "has no such model (HTTP 404): there is no model m" in error.message


async def test_a_refused_request_says_why_and_is_no_problem_of_the_provider(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies.append(dialect.error(400, "temperature must be lower"))
    error = await failure(asking)
    assert type(error) is ProviderError
    assert error.message.endswith("refused the request (HTTP 400): temperature must be lower")
    assert asking.providers.problems() == []


@pytest.mark.parametrize(
    ("dialect", "words"),
    [
        (CHAT, "This model's maximum context length is 8192 tokens."),
        (Messages(), "prompt is too long: 210000 tokens > 200000 maximum"),
    ],
    ids=["chat", "anthropic"],
)
async def test_a_conversation_that_is_too_long_is_told_apart(
    asking: Asking, server: ModelServer, dialect: Dialect, words: str
) -> None:
    asking.use(dialect, server)
    server.replies.append(dialect.error(400, words))
    assert isinstance(await failure(asking), ConversationTooLongError)


async def test_an_account_without_credit_is_not_asked_again(asking: Asking, server: ModelServer) -> None:
    asking.use(CHAT, server)
    body = {"error": {"message": "You exceeded your quota", "type": "x", "code": "insufficient_quota"}}
    server.replies.append(json_reply(429, body))
    error = await failure(asking)
    assert isinstance(error, ProviderConfigurationError)
    assert "has no credit left (HTTP 429)" in error.message


@pytest.mark.parametrize("cut", [drop, finish])
async def test_an_answer_that_breaks_off_is_never_taken_for_a_whole_one(
    asking: Asking, server: ModelServer, dialect: Dialect, cut: object
) -> None:
    asking.use(dialect, server)
    whole = dialect.answer(FINE)
    steps = next(at for at, step in enumerate(whole.steps) if b"is " in bytes(step)) + 1  # type: ignore[arg-type]
    server.replies.append(whole.cut_after(steps, cut))  # type: ignore[arg-type]
    pieces: list[str] = []
    with pytest.raises(ProviderUnavailableError, match=r"broke|cannot be read"):
        await asking.ask(pieces=pieces)
    assert pieces == ["All ", "is "]
    # Half of it was passed on already: another answer cannot follow it.
    assert len(server.received) == 1


async def test_an_answer_that_breaks_off_before_its_first_word_is_asked_for_again(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies += [Reply([drop]), dialect.answer(FINE)]
    assert (await asking.ask())[0] == ["All ", "is ", "well."]


RUBBISH = {
    "no JSON": b"data: {nonsense\n\n",
    "another form": b'data: {"choices": 7, "candidates": "x", "type": 5}\n\n',
    "a list": b"data: [1, 2]\n\n",
    "null": b"data: null\n\n",
    "no UTF-8": b"data: \xff\xfe\n\n",
    "nested": b"data: " + b"[" * 100_000 + b"\n\n",
    "nothing": b"",
}


@pytest.mark.parametrize("rubbish", RUBBISH.values(), ids=RUBBISH)
async def test_rubbish_is_a_failure_with_words(
    asking: Asking, server: ModelServer, dialect: Dialect, rubbish: bytes
) -> None:
    asking.use(dialect, server, max_retries=0)
    server.replies.append(Reply([rubbish]))
    error = await failure(asking)
    assert isinstance(error, ProviderUnavailableError)
    assert len(error.message) < 800


async def test_a_web_page_instead_of_an_answer_says_where_to_look(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server, max_retries=0)
    server.replies.append(Reply([b"<html><body>Welcome</body></html>"], 200, {"Content-Type": "text/html"}))
    assert isinstance(await failure(asking), ProviderUnavailableError)


async def test_arguments_that_are_no_json_reach_the_caller_as_they_are_and_the_model_can_be_told(
    asking: Asking, server: ModelServer
) -> None:
    asking.use(CHAT, server)
    server.replies.append(CHAT.answer(Said(calls=[Call("c", "weather", ['{"city": '])])))
    _, answer = await asking.ask(tools=TOOLS)
    assert answer.tool_calls == [ToolRequest("c", "weather", '{"city": ')]

    server.replies.append(CHAT.answer(FINE))
    history = [
        *HELLO,
        ChatMessage("assistant", "", answer.tool_calls, opaque=answer.opaque),
        ChatMessage("tool", "no JSON", tool_call_id="c", failed=True),
    ]
    assert (await asking.ask(history, tools=TOOLS))[1].text == "All is well."


async def test_a_model_that_never_begins_is_given_up(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server, first_token_timeout_secs=1)
    server.replies.append(Reply([hold]))
    error = await failure(asking)
    assert isinstance(error, ProviderUnavailableError)
    assert "did not begin to answer within 1 s" in error.message
    await asyncio.wait_for(server.left.wait(), PATIENCE_SECS)


async def test_a_model_that_falls_silent_is_given_up(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server, next_token_timeout_secs=1)
    whole = dialect.answer(FINE)
    server.replies.append(whole.cut_after(len(whole.steps) // 2 + 1, hold))
    assert "was silent for 1 s" in (await failure(asking)).message
    await asyncio.wait_for(server.left.wait(), PATIENCE_SECS)


async def test_an_answer_without_an_end_is_given_up(asking: Asking, server: ModelServer) -> None:
    async def babble(_request: object, _response: object) -> None:
        await asyncio.sleep(0.05)

    asking.use(CHAT, server, answer_timeout_secs=1)
    whole = CHAT.answer(Said(["la "] * 400))
    steps = [step for piece in whole.steps for step in (piece, babble)]
    server.replies.append(Reply(steps, headers=whole.headers))
    error = await failure(asking)
    assert type(error) is ProviderError
    assert "was not done within 1 s" in error.message


async def test_whoever_stops_reading_ends_the_request(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    whole = dialect.answer(FINE)
    server.replies.append(whole.cut_after(len(whole.steps) // 2 + 1, hold))
    answer = asking.providers.chat(ChatRequest(HELLO, "m"), CallContext())
    assert await anext(answer) == "All "
    await answer.aclose()
    await asyncio.wait_for(server.left.wait(), PATIENCE_SECS)


async def test_whoever_is_cancelled_while_waiting_ends_the_request(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies.append(Reply([hold]))
    waiting = asyncio.create_task(asking.ask())
    await eventually(lambda: server.received)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(server.left.wait(), PATIENCE_SECS)


async def test_a_server_that_is_not_there_says_where_it_was_looked_for(
    asking: Asking, dialect: Dialect
) -> None:
    own = {"type": dialect.kind, "base_url": f"http://user:{KEY}@127.0.0.1:9{dialect.prefix}", "api_key": KEY}
    asking.configure(name="it", others={"it": own}, max_retries=1)
    error = await failure(asking)
    assert isinstance(error, ProviderUnavailableError)
    assert 'provider "it" (m at 127.0.0.1:9) cannot be reached' in error.message
    assert "provider.others.it.base_url" in error.message
    assert len(asking.pauses) == 1


async def test_an_answer_of_any_size_is_not_read_to_its_end(asking: Asking, server: ModelServer) -> None:
    asking.use(CHAT, server)
    line = b": " + b"x" * (1 << 20) + b"\n\n"
    server.replies.append(Reply([line] * 80))
    error = await failure(asking)
    assert type(error) is ProviderError
    assert "more than" in error.message


async def test_a_redirect_is_not_followed_with_the_key(
    asking: Asking, server: ModelServer, dialect: Dialect
) -> None:
    asking.use(dialect, server)
    server.replies += [Reply([], 307, {"Location": f"{server.url}/elsewhere"}), dialect.answer(FINE)]
    assert "set base_url to where its API is" in (await failure(asking)).message
    assert len(server.received) == 1


async def test_a_compressed_answer_is_refused(asking: Asking, server: ModelServer) -> None:
    asking.use(CHAT, server)
    server.replies.append(Reply([b"\x1f\x8b"], headers={"Content-Encoding": "gzip"}))
    assert "compressed" in (await failure(asking)).message


async def test_an_error_within_the_stream_is_told(asking: Asking, server: ModelServer) -> None:
    asking.use(Messages(), server, max_retries=0)
    body = json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    server.replies.append(Reply([f"event: error\ndata: {body}\n\n".encode()]))
    error = await failure(asking)
    assert isinstance(error, ProviderUnavailableError)
    assert "Overloaded" in error.message
