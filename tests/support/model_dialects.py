"""What the vendors' APIs send, byte for byte as their references have it, for texts, calls and failures of tests."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tests.support.model_server import Reply, json_reply


class Call(NamedTuple):
    """A tool that the model asks for, its arguments in the pieces in which they come."""

    id: str
    name: str
    arguments: Sequence[str]


@dataclass(frozen=True, slots=True)
class Said:
    """What the model answers."""

    pieces: Sequence[str] = ()
    calls: Sequence[Call] = ()
    input: int = 100
    output: int = 20
    cached: int = 0
    signature: str | None = None
    """What a thinking model signs its thoughts with, for Anthropic and Google; in base64."""


class Asked(NamedTuple):
    """What a request told the model, whatever the protocol."""

    system: str
    tools: Sequence[str]
    results: Sequence[tuple[str, bool]]
    """What tools gave back, and whether it is marked as a failure."""
    stream: bool


class Dialect(Protocol):
    """One vendor's protocol."""

    kind: str
    prefix: str
    key_header: str

    def answer(self, said: Said, model: str = "m") -> Reply: ...

    def error(self, status: int, message: str, **headers: str) -> Reply: ...

    def asked(self, body: Mapping[str, Any]) -> Asked: ...


def _sse(data: Any, event: str | None = None) -> bytes:
    name = "" if event is None else f"event: {event}\n"
    return f"{name}data: {json.dumps(data)}\n\n".encode()


class ChatCompletions:
    """OpenAI's Chat Completions, which Ollama, vLLM and the rest speak as well."""

    prefix = "/v1"
    key_header = "Authorization"

    def __init__(self, kind: str = "compatible") -> None:
        self.kind = kind

    def answer(self, said: Said, model: str = "m") -> Reply:
        def chunk(delta: Any, finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return _sse({**head, "choices": [choice]})

        head = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": model,
        }
        steps = [chunk({"role": "assistant", "content": ""})]
        steps += [chunk({"content": piece}) for piece in said.pieces]
        for index, call in enumerate(said.calls):
            function = {"name": call.name, "arguments": ""}
            begun = {"index": index, "id": call.id, "type": "function", "function": function}
            steps.append(chunk({"tool_calls": [begun]}))
            steps += [
                chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
                for piece in call.arguments
            ]
        steps.append(chunk({}, "tool_calls" if said.calls else "stop"))
        usage = {
            "prompt_tokens": said.input,
            "completion_tokens": said.output,
            "total_tokens": said.input + said.output,
            "prompt_tokens_details": {"cached_tokens": said.cached},
        }
        steps.append(_sse({**head, "choices": [], "usage": usage}))
        return Reply([*steps, b"data: [DONE]\n\n"])

    def error(self, status: int, message: str, **headers: str) -> Reply:
        code = "invalid_api_key" if status == 401 else None
        body = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        return json_reply(status, {"error": body}, **headers)

    def asked(self, body: Mapping[str, Any]) -> Asked:
        messages = body["messages"]
        return Asked(
            system="\n".join(each["content"] for each in messages if each["role"] == "system"),
            tools=[tool["function"]["name"] for tool in body.get("tools", ())],
            results=[(each["content"], False) for each in messages if each["role"] == "tool"],
            stream=body["stream"],
        )


class Responses:
    """OpenAI's Responses."""

    kind = "openai-responses"
    prefix = "/v1"
    key_header = "Authorization"

    def answer(self, said: Said, model: str = "m") -> Reply:
        steps: list[bytes] = []
        output: list[Any] = []

        def event(name: str, /, **data: Any) -> None:
            steps.append(_sse({"type": name, "sequence_number": len(steps), **data}, name))

        def response(status: str, **data: Any) -> Any:
            fixed = {"id": "resp_1", "object": "response", "created_at": 1_700_000_000, "model": model}
            rest = {"error": None, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
            return {**fixed, **rest, "status": status, "output": list(output), **data}

        event("response.created", response=response("in_progress"))
        if said.pieces:
            item = {"type": "message", "id": "msg_1", "role": "assistant"}
            place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
            begun = {**item, "status": "in_progress", "content": []}
            event("response.output_item.added", output_index=0, item=begun)
            part = {"type": "output_text", "text": "", "annotations": []}
            event("response.content_part.added", **place, part=part)
            for piece in said.pieces:
                event("response.output_text.delta", **place, delta=piece, logprobs=[])
            text = "".join(said.pieces)
            event("response.output_text.done", **place, text=text, logprobs=[])
            part = {**part, "text": text}
            event("response.content_part.done", **place, part=part)
            output.append({**item, "status": "completed", "content": [part]})
            event("response.output_item.done", output_index=0, item=output[-1])
        for call in said.calls:
            index, arguments = len(output), "".join(call.arguments)
            item = {"type": "function_call", "id": f"fc_{call.id}", "call_id": call.id, "name": call.name}
            begun = {**item, "arguments": "", "status": "in_progress"}
            event("response.output_item.added", output_index=index, item=begun)
            place = {"item_id": item["id"], "output_index": index}
            for piece in call.arguments:
                event("response.function_call_arguments.delta", **place, delta=piece)
            event(
                "response.function_call_arguments.done",
                **place,
                name=call.name,
                arguments=arguments,
            )
            output.append({**item, "arguments": arguments, "status": "completed"})
            event("response.output_item.done", output_index=index, item=output[-1])
        usage = {
            "input_tokens": said.input,
            "input_tokens_details": {"cached_tokens": said.cached},
            "output_tokens": said.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": said.input + said.output,
        }
        event("response.completed", response=response("completed", usage=usage))
        return Reply(steps)

    def error(self, status: int, message: str, **headers: str) -> Reply:
        return ChatCompletions().error(status, message, **headers)

    def asked(self, body: Mapping[str, Any]) -> Asked:
        outputs = [item for item in body["input"] if item.get("type") == "function_call_output"]
        return Asked(
            system=body.get("instructions", ""),
            tools=[tool["name"] for tool in body.get("tools", ())],
            results=[(each["output"], False) for each in outputs],
            stream=body["stream"],
        )


class Messages:
    """Anthropic's Messages."""

    kind = "anthropic"
    prefix = ""
    key_header = "Authorization"

    def answer(self, said: Said, model: str = "m") -> Reply:
        steps: list[bytes] = []

        def event(name: str, /, **data: Any) -> None:
            steps.append(_sse({"type": name, **data}, name))

        usage = {
            "input_tokens": said.input - said.cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": said.cached,
            "output_tokens": 1,
        }
        message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": model}
        event(
            "message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": usage}
        )
        event("ping")
        blocks: list[tuple[Any, list[Any]]] = []
        if said.signature is not None:
            thought = {"type": "thinking_delta", "thinking": "Hm."}
            signed = {"type": "signature_delta", "signature": said.signature}
            blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [thought, signed]))
        if said.pieces:
            deltas = [{"type": "text_delta", "text": piece} for piece in said.pieces]
            blocks.append(({"type": "text", "text": ""}, deltas))
        for call in said.calls:
            block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
            pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in call.arguments]
            blocks.append((block, pieces))
        for index, (block, deltas) in enumerate(blocks):
            event("content_block_start", index=index, content_block=block)
            for delta in deltas:
                event("content_block_delta", index=index, delta=delta)
            event("content_block_stop", index=index)
        reason = "tool_use" if said.calls else "end_turn"
        event(
            "message_delta",
            delta={"stop_reason": reason, "stop_sequence": None},
            usage={"output_tokens": said.output},
        )
        event("message_stop")
        return Reply(steps)

    def error(self, status: int, message: str, **headers: str) -> Reply:
        kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
        kind = kinds.get(status, "api_error" if status >= 500 else "invalid_request_error")
        body = {"type": "error", "error": {"type": kind, "message": message}}
        return json_reply(status, body, **headers)

    def asked(self, body: Mapping[str, Any]) -> Asked:
        system = body.get("system", "")
        if not isinstance(system, str):
            system = "\n".join(block["text"] for block in system)
        blocks = [
            block
            for message in body["messages"]
            if not isinstance(message["content"], str)
            for block in message["content"]
            if block["type"] == "tool_result"
        ]
        return Asked(
            system=system,
            tools=[tool["name"] for tool in body.get("tools", ())],
            results=[(_text(block["content"]), bool(block.get("is_error"))) for block in blocks],
            stream=body["stream"],
        )


class GenerateContent:
    """Google's GenerateContent."""

    kind = "google"
    prefix = ""
    key_header = "X-Goog-Api-Key"

    def answer(self, said: Said, model: str = "m") -> Reply:
        def chunk(parts: Sequence[Any], **candidate: Any) -> bytes:
            content = {"role": "model", "parts": list(parts)}
            candidates = [{"content": content, "index": 0, **candidate}]
            return _sse(
                {
                    "candidates": candidates,
                    "modelVersion": model,
                    "responseId": "resp-1",
                    "usageMetadata": usage,
                }
            )

        usage = {
            "promptTokenCount": said.input,
            "candidatesTokenCount": said.output,
            "totalTokenCount": said.input + said.output,
            "cachedContentTokenCount": said.cached,
        }
        steps = [chunk([{"text": piece}]) for piece in said.pieces]
        for call in said.calls:
            arguments = json.loads("".join(call.arguments))
            part = {"functionCall": {"id": call.id, "name": call.name, "args": arguments}}
            steps.append(
                chunk([part if said.signature is None else {**part, "thoughtSignature": said.signature}])
            )
        steps.append(chunk([{"text": ""}], finishReason="STOP"))
        return Reply(steps)

    def error(self, status: int, message: str, **headers: str) -> Reply:
        names = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL"}
        body = {"code": status, "message": message, "status": names.get(status, "INVALID_ARGUMENT")}
        return json_reply(status, {"error": body}, **headers)

    def asked(self, body: Mapping[str, Any]) -> Asked:
        parts = [part for content in body["contents"] for part in content["parts"]]
        answers = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
        system = body.get("systemInstruction", {"parts": []})
        return Asked(
            system="\n".join(part["text"] for part in system["parts"]),
            tools=[each["name"] for tool in body.get("tools", ()) for each in tool["functionDeclarations"]],
            results=[(next(iter(each.values())), "error" in each) for each in answers],
            stream=True,
        )


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


DIALECTS: Sequence[Dialect] = (
    Messages(),
    Responses(),
    ChatCompletions(),
    ChatCompletions("ollama"),
    GenerateContent(),
)
