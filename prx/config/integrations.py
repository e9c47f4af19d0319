"""The tables about what the daemon connects to: MCP servers and webhooks."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, SecretStr, WithJsonSchema, model_validator

from prx.config.addresses import HttpUrl
from prx.config.types import AbsolutePath, Name, Secret, Table, hot
from prx.core.webhook import ALIASES, ALL, EVENTS, canonical, key_of, target_of


class OAuthConfig(Table):
    """How to log in to an MCP server that asks for OAuth."""

    grant: Literal["authorization_code", "client_credentials"] = hot(
        "Who logs in: a person with `prx mcp login`, or the daemon itself as the client.",
        "authorization_code",
    )
    issuer: HttpUrl | None = hot(
        "The authorization server that the client's secret is for, and is sent to alone; unset takes the one that the "
        "server names.",
        None,
    )
    client_id: str | None = hot("Client registered by hand; unset registers one.", None, min_length=1)
    client_secret: Secret | None = hot("Secret of that client.", None)
    scopes: tuple[str, ...] = hot("Scopes to ask for; empty asks for what the server names.", ())
    redirect_port: int | None = hot(
        "Port of `http://127.0.0.1:PORT/callback`, for a client that was registered with it; unset takes a free one.",
        None,
        ge=1,
        le=65535,
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        needed = (self.client_id, self.client_secret, self.issuer)
        if self.grant == "client_credentials" and None in needed:
            raise ValueError('grant "client_credentials" needs client_id, client_secret and issuer')
        if self.client_secret is not None and None in needed:
            raise ValueError("client_secret needs client_id and issuer: else the server says who gets it")
        return self


class SamplingConfig(Table):
    """Whether an MCP server may have the agent's model answer it."""

    tokens_per_day: int = hot(
        "Tokens that the model may spend on the server in a day of UTC, what it asks included; 0 lets it ask nothing.",
        0,
        ge=0,
    )
    max_tokens: int = hot("Tokens that one answer may have.", 1024, ge=1, le=1_000_000)
    models: tuple[str, ...] = hot(
        "Models of the provider that the server may choose by naming a part of it; else `provider.model` answers.",
        (),
    )


class McpServerConfig(Table):
    """One MCP server."""

    transport: Literal["stdio", "http", "sse"] | None = hot(
        "How to reach it; unset means stdio with a `command`, http with a `url`.", None
    )
    enabled: bool = hot("Whether to connect at all.", default=True)
    command: str | None = hot("Program to start, for stdio.", None)
    args: tuple[str, ...] = hot("Its arguments.", ())
    env: dict[str, Secret] = hot("Its environment, beside the few variables that every program gets.", {})
    cwd: AbsolutePath | None = hot("Its working directory.", None)
    url: HttpUrl | None = hot("Address, for http and sse.", None, repr=False)
    headers: dict[str, Secret] = hot("Headers sent with each request.", {})
    handshake: Literal["auto", "legacy"] = hot(
        'How to find out which version of MCP the server speaks; "legacy" asks for none of 2026, for a server that '
        "speaks an older one better.",
        "auto",
    )
    oauth: OAuthConfig = OAuthConfig()
    startup_timeout_ms: int = hot("Milliseconds that connecting may take.", 10000, ge=1, le=600_000)
    request_timeout_ms: int = hot("Milliseconds that one request may take.", 30000, ge=1, le=3_600_000)
    tool_name_prefix: str = hot(
        "First part of its tools' names, before the server's; empty gives the bare names.",
        "mcp",
        max_length=32,
    )
    allow_tools: tuple[str, ...] | None = hot("Tools to offer; unset offers all.", None)
    deny_tools: tuple[str, ...] = hot("Tools not to offer, also where `allow_tools` names them.", ())
    ask_clients: bool = hot(
        "Pass what the server asks (for input, a model's answer, directories) on to the MCP client that calls.",
        default=False,
    )
    roots: tuple[AbsolutePath, ...] = hot(
        "Directories that the server is told to work in, whoever calls; empty tells none.", ()
    )

    sampling: SamplingConfig = SamplingConfig()

    @model_validator(mode="after")
    def _is_reachable(self) -> Self:
        if self.transport == "stdio" and self.command is None:
            raise ValueError('transport "stdio" needs a command')
        if self.transport in ("http", "sse") and self.url is None:
            raise ValueError(f'transport "{self.transport}" needs a url')
        if self.transport is None and (self.command is None) == (self.url is None):
            raise ValueError("set either command (stdio) or url (http)")
        return self


class McpConfig(Table):
    """The MCP servers whose tools are offered."""

    servers: dict[Name, McpServerConfig] = hot("One table for each server, by its name.", {})


def _hook_url(url: str) -> str:
    target_of(url, allow_private=True)  # whether it may be private says the table around it
    return url


def _hook_event(name: str) -> str:
    canonical(name)
    return name


def _hook_secret(secret: SecretStr) -> SecretStr:
    key_of(secret.get_secret_value())
    return secret


_HookUrl = Annotated[str, AfterValidator(_hook_url)]
_HookEvent = Annotated[
    str, AfterValidator(_hook_event), WithJsonSchema({"type": "string", "enum": [*EVENTS, *ALIASES, ALL]})
]
_HookSecret = Annotated[Secret, AfterValidator(_hook_secret)]


class HookEndpointConfig(Table):
    """One webhook that the configuration registers."""

    url: _HookUrl = hot("Address that events are posted to.", repr=False)
    events: tuple[_HookEvent, ...] = hot('Events that are sent; "*" is all.', ("*",), min_length=1)
    secret: _HookSecret | None = hot("Key that signs the deliveries; unset makes one.", None)
    enabled: bool = hot("Whether events are sent.", default=True)


class HooksConfig(Table):
    """Outgoing webhooks."""

    allow_private_targets: bool = hot(
        "Allow addresses on private, loopback and link-local networks.", default=False
    )
    timeout_secs: int = hot("Seconds that one delivery may take.", 10, ge=1, le=300)
    max_retries: int = hot("Retries after which an endpoint is switched off.", 8, ge=0, le=100)
    max_backlog: int = hot(
        "Events that wait for one endpoint at most; the oldest make room and are counted.",
        100_000,
        ge=1,
        le=10_000_000,
    )
    event_retention_days: int = hot(
        "Days after which an event is given up, delivered or not.", 7, ge=1, le=365
    )
    endpoints: tuple[HookEndpointConfig, ...] = hot("Webhooks registered here rather than over the API.", ())

    @model_validator(mode="after")
    def _leads_where_it_may(self) -> Self:
        for place, endpoint in enumerate(self.endpoints):
            try:
                target_of(endpoint.url, allow_private=self.allow_private_targets)
            except ValueError as error:
                raise ValueError(f"endpoints.{place}.url: {error}") from error
        return self
