"""The providers that need no address: what `[provider] name` may be, besides what plugins bring.

Nothing here loads a client library: the command line looks here, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Protocol = Literal["anthropic", "google", "responses", "chat"]
"""What is spoken: Anthropic's Messages, Google's GenerateContent, OpenAI's Responses or its Chat Completions."""

EXTRAS: Final[Mapping[Protocol, str]] = {
    "anthropic": "anthropic",
    "google": "google",
    "responses": "openai",
    "chat": "openai",
}
"""Which extra of PRX brings the client library."""
PACKAGES: Final[Mapping[Protocol, tuple[str, ...]]] = {
    "anthropic": ("pydantic_ai", "anthropic"),
    "google": ("pydantic_ai", "google.genai"),
    "responses": ("pydantic_ai", "openai"),
    "chat": ("pydantic_ai", "openai"),
}
"""What that extra brings, as Python imports it."""


@dataclass(frozen=True, slots=True)
class Known:
    """One provider."""

    protocol: Protocol
    url: str | None
    """Where it answers; None where everybody has an address of their own."""
    variables: tuple[str, ...] = ()
    """What usually holds its key in the environment, the first that is set; empty where it needs none."""
    quirks: bool = True
    """Whether the client library knows it by this name; otherwise it is as compatible with OpenAI as it says."""


def _service(url: str, *variables: str, quirks: bool = True) -> Known:
    return Known("chat", url, variables, quirks)


def _local(port: int, *, quirks: bool = True) -> Known:
    return Known("chat", f"http://127.0.0.1:{port}/v1", quirks=quirks)


_OPENAI: Final = "https://api.openai.com/v1"
KNOWN: Final[Mapping[str, Known]] = {
    "anthropic": Known("anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",)),
    "google": Known(
        "google", "https://generativelanguage.googleapis.com", ("GOOGLE_API_KEY", "GEMINI_API_KEY")
    ),
    "openai": Known("responses", _OPENAI, ("OPENAI_API_KEY",)),
    "openai-responses": Known("responses", _OPENAI, ("OPENAI_API_KEY",)),
    "openai-chat": Known("chat", _OPENAI, ("OPENAI_API_KEY",)),
    "azure": Known("chat", None, ("AZURE_OPENAI_API_KEY",)),
    "alibaba": _service(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "ALIBABA_API_KEY", "DASHSCOPE_API_KEY"
    ),
    "cerebras": _service("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepseek": _service("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "fireworks": _service("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "groq": _service("https://api.groq.com/openai/v1", "GROQ_API_KEY", quirks=False),
    "mistral": _service("https://api.mistral.ai/v1", "MISTRAL_API_KEY", quirks=False),
    "moonshotai": _service("https://api.moonshot.ai/v1", "MOONSHOTAI_API_KEY"),
    "nebius": _service("https://api.studio.nebius.com/v1", "NEBIUS_API_KEY"),
    "openrouter": _service("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "ovhcloud": _service("https://oai.endpoints.kepler.ai.cloud.ovh.net/v1", "OVHCLOUD_API_KEY"),
    "sambanova": _service("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    "together": _service("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "vercel": _service("https://ai-gateway.vercel.sh/v1", "VERCEL_AI_GATEWAY_API_KEY"),
    "xai": _service("https://api.x.ai/v1", "XAI_API_KEY", quirks=False),
    "zai": _service("https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    "litellm": _local(4000),
    "lmstudio": _local(1234, quirks=False),
    "ollama": _local(11434),
    "vllm": _local(8000),
}
BUILTIN: Final = "builtin"
"""The provider that needs no model; it is offered where those of plugins are."""
