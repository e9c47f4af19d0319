"""Every table and key of the configuration, with its default, range and meaning.

Each key is declared hot or restart-only.
"""

from typing import Any, Final, Literal, Self

from platformdirs import user_data_dir
from pydantic import Field, field_serializer, model_validator

from prx.config.channels import Channels
from prx.config.echo import echo
from prx.config.integrations import HooksConfig, McpConfig
from prx.config.types import AbsolutePath, PublicKey, Secret, Table, hot, is_loopback, restart
from prx.core.levels import LogLevel

_TEN_YEARS: Final = 315_360_000  # in seconds
Permission = Literal["log", "config", "clock", "kv", "http-outbound", "memory", "events", "filesystem", "env"]


class RateLimitsConfig(Table):
    """Requests per second that one token may make, by group of routes; 0 switches a limit off."""

    sessions_write: int = hot("Creating, messaging and ending sessions.", 10, ge=0)
    sessions_read: int = hot("Reading sessions and their messages.", 50, ge=0)
    config_write: int = hot("Changing the configuration over the API.", 5, ge=0)
    other: int = hot("Everything else but `/status/health`, which is never limited.", 30, ge=0)


class CorsConfig(Table):
    """Which web pages may call the API from a browser."""

    allowed_origins: tuple[str, ...] = hot(
        'Origins such as "https://console.example.com"; empty switches CORS off.', ()
    )


class GatewayConfig(Table):
    """The HTTP port."""

    host: str = restart(
        "Address to listen on. Any but a loopback address needs TLS or `allow_public_bind`.",
        "127.0.0.1",
        min_length=1,
    )
    port: int = restart(
        "Port to listen on; 0 lets the system choose one, which the log tells.", 3120, ge=0, le=65535
    )
    allowed_hosts: tuple[str, ...] = hot(
        "Names accepted in the Host header beside the bound address and localhost.", ()
    )
    allow_public_bind: bool = restart(
        "Allow listening on an address that others can reach, without TLS.", default=False
    )
    trust_forwarded_headers: bool = hot(
        "Take the client's address from the rightmost hop of X-Forwarded-For, which a proxy must set.",
        default=False,
    )
    request_timeout_secs: int = hot(
        "Seconds after which a request is given up with 503.", 300, ge=1, le=86400
    )
    max_body_kb: int = restart(
        "Largest request body in KiB; more is answered with 413.", 1024, ge=1, le=1048576
    )
    metrics_public: bool = hot("Serve `/metrics` without a token.", default=False)
    tls_cert: AbsolutePath | None = restart(
        "Certificate chain in PEM; together with `tls_key` it switches TLS on.", None
    )
    tls_key: AbsolutePath | None = restart("Private key of `tls_cert` in PEM.", None, repr=False)
    rate_limits: RateLimitsConfig = RateLimitsConfig()
    cors: CorsConfig = CorsConfig()

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: set both, or neither")
        return self

    @model_validator(mode="after")
    def _public_bind_is_meant(self) -> Self:
        if not (is_loopback(self.host) or self.tls_cert or self.allow_public_bind):
            raise ValueError(
                f"host {echo(self.host)} can be reached from outside: set tls_cert and tls_key, "
                "or allow_public_bind = true, or listen on 127.0.0.1"
            )
        return self


class DaemonConfig(Table):
    """The process."""

    data_dir: AbsolutePath = restart(
        "Directory for everything the daemon keeps; by default the platform's data directory.",
        default_factory=lambda: user_data_dir("prx"),
    )
    log_level: LogLevel = hot("Least level that is logged: trace, debug, info, warn or error.", "info")
    log_format: Literal["auto", "pretty", "json"] = restart(
        "How log lines look on stderr; auto is pretty on a terminal, else json.", "auto"
    )
    log_file_mb: int = restart(
        "Size in MiB up to which one file of the log in `data_dir` grows.", 16, ge=1, le=1024
    )
    log_files: int = restart(
        "Files of the log that are kept; the oldest makes room for a new one.", 8, ge=2, le=64
    )
    drain_secs: int = hot(
        "Seconds that calls in flight get to finish when the daemon stops.", 30, ge=0, le=3600
    )


class BudgetsConfig(Table):
    """What the agent may use of language models; unset is as much as it likes. A day is one of UTC."""

    session_tokens: int | None = hot("Tokens of one session, in and out.", None, ge=1)
    session_cost_usd: float | None = hot(
        "Cost of one session in US dollars; an answer whose price is not known counts as free.", None, gt=0
    )
    daily_tokens: int | None = hot("Tokens of all sessions in a day.", None, ge=1)
    daily_cost_usd: float | None = hot("Cost of all sessions in a day.", None, gt=0)


class AgentConfig(Table):
    """The agent loop and its sessions."""

    max_turns: int = hot("Turns after which a session takes no more messages.", 50, ge=1, le=10000)
    max_tool_calls_per_turn: int = hot("Tool calls after which a turn has to answer.", 10, ge=1, le=1000)
    session_idle_secs: int = hot(
        "Seconds without activity after which a session is idle.", 900, ge=1, le=_TEN_YEARS
    )
    session_timeout_secs: int = hot(
        "Seconds without activity after which a session is terminated.", 3600, ge=1, le=_TEN_YEARS
    )
    session_retention_days: int = hot(
        "Days after which a terminated session is removed; of more than 100,000 the oldest go before.",
        30,
        ge=1,
        le=3650,
    )
    max_open_sessions: int = hot(
        "Sessions that may be active or idle at the same time; more are refused.", 100_000, ge=1, le=1_000_000
    )
    system_prompt: str = hot("What the model is told before every conversation.", "")
    max_concurrent_turns: int = hot(
        "Turns that run at the same time over all sessions; more wait.", 8, ge=1, le=1000
    )
    context_tokens: int = hot(
        "Tokens of a conversation, estimated, beyond which its older part becomes a summary.",
        100_000,
        ge=1000,
        le=100_000_000,
    )
    turn_timeout_secs: int = hot("Seconds after which a turn is given up.", 1800, ge=1, le=86400)
    approval: tuple[str, ...] = hot(
        'Tools that wait for somebody to allow each call, as names in which "*" stands for anything.', ()
    )
    approval_timeout_secs: int = hot(
        "Seconds after which a call that nobody allowed is denied.", 300, ge=1, le=86400
    )
    budgets: BudgetsConfig = BudgetsConfig()


class OtherProviderConfig(Table):
    """A further provider of language models."""

    type: str | None = hot(
        "Which provider it is; unset takes the table's name. Any other than those that are known is one "
        "compatible with OpenAI.",
        None,
        min_length=1,
    )
    base_url: str | None = hot("Its address, as `provider.base_url`.", None, repr=False)
    api_key: Secret | None = hot("Its key, as `provider.api_key`.", None)


class ProviderConfig(Table):
    """The language model."""

    name: str = hot(
        '"anthropic", "openai", "google", "ollama" and more, a table of `others`, the name of a plugin\'s provider, '
        'any name with a `base_url`, or "builtin", which needs no key.',
        "builtin",
        min_length=1,
    )
    model: str = hot("Model to ask for, by the provider's own name.", "builtin", min_length=1)
    base_url: str | None = hot(
        "Address of an OpenAI-compatible server, or of the provider where it is not its own.",
        None,
        repr=False,
    )
    api_key: Secret | None = hot(
        "Key of the provider; unset takes the provider's usual environment variable, for its own address alone.",
        None,
    )
    temperature: float | None = hot(
        "Randomness of the answers; unset leaves it to the provider.", None, ge=0, le=2
    )
    fallback: tuple[str, ...] = hot(
        'Providers to try in order when this one fails, as "name" or "name/model".', (), max_length=8
    )
    max_retries: int = hot(
        "How often a request that failed for the moment is made again, before the next provider is tried.",
        2,
        ge=0,
        le=10,
    )
    first_token_timeout_secs: int = hot(
        "Seconds until an answer has to begin, retries included; models think, or are read from disk, before.",
        300,
        ge=1,
        le=3600,
    )
    next_token_timeout_secs: int = hot(
        "Seconds that an answer may pause once it has begun.", 120, ge=1, le=3600
    )
    answer_timeout_secs: int = hot("Seconds that one whole answer may take.", 1800, ge=1, le=7200)
    others: dict[str, OtherProviderConfig] = hot(
        "One table for each provider that `name` or `fallback` names and that needs an address or a key of its own.",
        {},
    )


class MemoryConfig(Table):
    """What the agent remembers."""

    backend: str = restart(
        'Where memories are kept: "sqlite", or the name that a plugin\'s storage gives itself.',
        "sqlite",
        min_length=1,
    )
    tools: bool = hot(
        "Offer the model tools that store, recall and forget memories of the user it talks with.",
        default=False,
    )
    top_k: int = hot("Memories brought into a turn at most.", 10, ge=1, le=1000)
    min_relevance_score: float = hot(
        "Least relevance of a memory that is brought into a turn.", 0.0, ge=0, le=1
    )
    retention_days: int | None = hot(
        "Days after which a memory is forgotten; unset keeps them for ever.", None, ge=1
    )
    embedding_model: str | None = hot(
        'Embedding model by which memories are found beside their words, as "provider/model"; the provider is asked '
        "as `provider` and `provider.others` say.",
        None,
        pattern=r"^[^/\s]+/\S+$",
    )
    embedding_min_similarity: float = hot(
        "Least cosine similarity of a memory that is found by its vector alone; it depends on the model.",
        0.3,
        ge=-1,
        le=1,
    )


class PluginLimits(Table):
    """What one call of a plugin may use: the defaults for `[resources]` in its `plugin.toml`."""

    max_fuel: int | None = hot("Instructions per call; unset leaves it to the time limit alone.", None, ge=1)
    max_memory_mb: int = hot("Linear memory of one instance in MiB.", 64, ge=1, le=4096)
    max_execution_time_ms: int = hot(
        "Wall time of one call in milliseconds, host functions included.", 5000, ge=1, le=3_600_000
    )
    max_http_requests: int = hot("Outgoing requests of one call.", 10, ge=0, le=10000)
    max_kv_storage_kb: int = hot("Keys and values that the plugin may keep, in KiB.", 1024, ge=0, le=1048576)
    max_concurrency: int = hot(
        "Calls that run at the same time; more wait in a bounded queue.", 4, ge=1, le=64
    )
    instance: Literal["fresh", "warm"] = hot(
        "A fresh instance per call, or a warm one that keeps its state between calls.", "fresh"
    )
    max_output_kb: int = hot("Largest output of one call in KiB.", 1024, ge=1, le=16384)


class PluginSettings(Table):
    """What the operator decides about one plugin, over its manifest."""

    tool_prefix: str = hot(
        "Put before the names of its tools, to resolve a clash with another's.",
        "",
        max_length=32,
        pattern=r"^[a-z0-9_]*$",
    )
    config: dict[str, str] = hot(
        "What the plugin reads as its configuration, over `[config]` of its manifest.", {}
    )
    # Only the keys that are set count: see `model_fields_set`.
    limits: PluginLimits = PluginLimits()

    @field_serializer("limits")
    def _only_what_is_set(self, limits: PluginLimits) -> dict[str, Any]:
        return limits.model_dump(exclude_unset=True)


class PluginsConfig(Table):
    """The plugin host."""

    directory: AbsolutePath = restart(
        "Directory that holds the plugins; without a configuration file it lies in `daemon.data_dir`.",
        "plugins",
    )
    watch: bool = restart("Notice changed files without a restart.", default=True)
    auto_grant: tuple[Permission, ...] = hot(
        "Permissions that a plugin is given without asking the operator.", ("kv", "events")
    )
    allow_private_targets: bool = hot(
        "Let plugins reach hosts on private, loopback and link-local networks that their `http_allowlist` names.",
        default=False,
    )
    keep_generations: int = hot("Generations of a plugin that are kept for a step back.", 3, ge=1, le=100)
    require_signature: bool = hot("Load only plugins signed by one of `trusted_keys`.", default=False)
    trusted_keys: tuple[PublicKey, ...] = hot(
        "Public keys whose signatures are trusted, as `prx plugin keygen` prints them.", ()
    )
    limits: PluginLimits = PluginLimits()
    settings: dict[str, PluginSettings] = hot("One table for each plugin that needs one, by its name.", {})


class SkillsConfig(Table):
    """Instructions that messages can bring into a turn."""

    directory: AbsolutePath = restart("Directory that holds one directory for each skill.", "skills")


class Config(Table):
    """The whole configuration, validated; a value that is compared and passed around, never changed."""

    gateway: GatewayConfig = GatewayConfig()
    daemon: DaemonConfig = Field(default_factory=DaemonConfig)
    agent: AgentConfig = AgentConfig()
    provider: ProviderConfig = ProviderConfig()
    memory: MemoryConfig = MemoryConfig()
    plugins: PluginsConfig = Field(default_factory=PluginsConfig)
    mcp: McpConfig = McpConfig()
    channels_config: Channels = hot("One table for each channel, by its name.", {})
    hooks: HooksConfig = HooksConfig()
    skills: SkillsConfig = Field(default_factory=SkillsConfig)
