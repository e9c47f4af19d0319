"""The provider that needs no key: it understands `/tool_name {json}`, and says what there is and how to get a model."""

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from itertools import islice, takewhile
from typing import Any, Final

from prx.core.ids import new_id
from prx.core.provider import ChatAnswer, ChatMessage, ChatRequest, ToolRequest
from prx.core.skill import Skill
from prx.core.speaker import without_speaker
from prx.core.tool import CallContext, ToolSpec

NAME: Final = "builtin"
_MAX_LISTED: Final = 50
_MAX_DESCRIPTION_CHARS: Final = 100
_NO_MODEL: Final = (
    "No language model is configured: this is the built-in provider, which only runs commands. To get one:\n"
    "  prx config set provider.name anthropic    (or openai, ollama, or the name of a plugin's provider)\n"
    "  prx config set provider.model MODEL\n"
    "and set the provider's key, such as ANTHROPIC_API_KEY, in the daemon's environment or as provider.api_key."
)


class BuiltinProvider:
    """See `ChatProvider`. It uses no tokens."""

    name = NAME

    def __init__(
        self, skill_for: Callable[[str], Skill | None], skills: Callable[[], Sequence[Skill]]
    ) -> None:
        """Know which skill a message asks for, and what skills there are."""
        self._skill_for = skill_for
        self._skills = skills

    async def chat(
        self, request: ChatRequest, _context: CallContext
    ) -> AsyncGenerator[str | ChatAnswer, None]:
        """See `ChatProvider.chat`."""
        last = request.messages[-1]
        if last.role == "tool":
            answer = ChatAnswer("\n\n".join(_results(request.messages)))
        else:
            answer = self._answer(
                without_speaker(last.content).strip(), {tool.name: tool for tool in request.tools}
            )
        if answer.text:
            yield answer.text
        yield replace(answer, model=NAME)

    def _answer(self, text: str, tools: Mapping[str, ToolSpec]) -> ChatAnswer:
        # What follows the name may stand on lines of its own, as JSON does.
        command, *rest = text.removeprefix("/").split(maxsplit=1) or [""]
        is_command = text.startswith("/")
        if is_command and (tool := tools.get(command)) is not None:
            call = ToolRequest(new_id("call"), command, _arguments(tool, "".join(rest)))
            return ChatAnswer("", [call], finish="tool_calls")
        if (skill := self._skill_for(text)) is not None:
            return ChatAnswer(
                f'This is for the skill "{skill.name}": {skill.description}\n'
                f"Its instructions are part of this turn, for a model to follow.\n\n{_NO_MODEL}"
            )
        if is_command and command != "help":
            return ChatAnswer(_unknown(command, tools))
        return ChatAnswer("\n\n".join(self._help(tools)))

    def _help(self, tools: Mapping[str, ToolSpec]) -> Iterator[str]:
        yield _NO_MODEL
        if tools:
            yield "Tools, to be run as /NAME {JSON}:\n" + _listed(
                f"  /{tool.name}  {_short(tool.description)}" for tool in tools.values()
            )
        else:
            yield "There are no tools yet: plugins and MCP servers bring them."
        if skills := self._skills():
            yield "Skills, for messages that begin with:\n" + _listed(
                f"  {', '.join(skill.triggers)}  {_short(skill.description)}" for skill in skills
            )


def _results(messages: Sequence[ChatMessage]) -> Iterator[str]:
    """Give what the last calls gave back, in their order."""
    results = [*takewhile(lambda message: message.role == "tool", reversed(messages))]
    for message in reversed(results):
        yield f"The tool failed: {message.content}" if message.failed else message.content


def _arguments(tool: ToolSpec, text: str) -> str:
    """Return the arguments as JSON: what was written, nothing, or a text for a tool that takes just one."""
    if not text:
        return "{}"
    if not text.startswith("{") and (only := _only_text(tool.parameters)) is not None:
        return json.dumps({only: text}, ensure_ascii=False)
    return text


def _only_text(parameters: Mapping[str, Any]) -> str | None:
    properties = parameters.get("properties")
    if not isinstance(properties, Mapping):
        return None
    required = parameters.get("required") or list(properties)
    if len(required) != 1:
        return None
    schema = properties.get(required[0])
    return required[0] if isinstance(schema, Mapping) and schema.get("type") == "string" else None


def _unknown(name: str, tools: Mapping[str, ToolSpec]) -> str:
    # Without a slash: in chats /help is a command of the channel's.
    close = get_close_matches(name, tools, n=3)
    hint = f" Did you mean {', '.join(f'/{each}' for each in close)}?" if close else ""
    return f'There is no tool "{name[:64]}".{hint} Write "help" to see what there is.'


def _listed(lines: Iterator[str]) -> str:
    shown = list(islice(lines, _MAX_LISTED))
    more = sum(1 for _ in lines)
    return "\n".join([*shown, f"  and {more} more"] if more else shown)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_DESCRIPTION_CHARS else f"{line[: _MAX_DESCRIPTION_CHARS - 1]}…"
