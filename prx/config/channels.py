"""The tables of channels: the keys that all of them have, and the platforms' own beside them."""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    SecretStr,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from prx.config.echo import echo
from prx.config.types import Name, Table, from_environment, hot, is_secret_key
from prx.config.words import described

SenderPolicy = Literal["allowlist", "open", "disabled"]


class ChannelConfig(Table):
    """One messaging channel; the platform's own keys stand beside the common ones."""

    model_config = ConfigDict(extra="allow")

    type: str | None = hot("Which platform; unset takes the table's name.", None)
    enabled: bool = hot("Whether to connect at all.", default=True)
    allowed_users: tuple[str, ...] = hot(
        'Who may talk to it, by stable id; empty is nobody, ["*"] everybody.', ()
    )
    mention_only: bool = hot("In groups, answer only when mentioned or replied to.", default=False)
    dm_policy: SenderPolicy = hot(
        "Direct messages: from `allowed_users`, from everybody, or from nobody.", "allowlist"
    )
    group_policy: SenderPolicy = hot(
        "Groups: from `allowed_users`, from everybody, or from nobody.", "allowlist"
    )
    listen_to_bots: bool = hot("Answer other bots, too; never itself.", default=False)
    pairing: bool = hot(
        "Give whoever is not allowed a code for /pair, which `prx channel approve` accepts.", default=True
    )
    stream_mode: Literal["edits", "off"] = hot(
        "Show answers as they grow, by editing a message, where the platform can; or only once they are whole.",
        "edits",
    )
    draft_update_interval_ms: int = hot(
        "Milliseconds between two edits of an answer that grows.", 1000, ge=100, le=60_000
    )

    @model_validator(mode="after")
    def _hide_platform_secrets(self) -> Self:
        extra = self.__pydantic_extra__ or {}
        extra.update({key: _hidden(key, value) for key, value in extra.items()})
        return self


class PlatformConfig(ChannelConfig):
    """The keys of a platform that PRX knows: an unknown one is an error."""

    model_config = ConfigDict(extra="forbid")


class Platform(NamedTuple):
    """A platform that PRX has an adapter for."""

    table: str
    """The `PlatformConfig` in the module of `prx.config.platforms` that is named as the type."""
    extra: str | None = None
    """What has to be installed with PRX, as in `prx[slack]`; None where nothing has to."""


PLATFORMS: Final[Mapping[str, Platform]] = {
    "discord": Platform("DiscordConfig"),
    "email": Platform("EmailConfig", extra="email"),
    "irc": Platform("IrcConfig"),
    "matrix": Platform("MatrixConfig", extra="matrix"),
    "mqtt": Platform("MqttConfig", extra="mqtt"),
    "slack": Platform("SlackConfig"),
    "telegram": Platform("TelegramConfig"),
    "webhook": Platform("WebhookConfig"),
    "xmpp": Platform("XmppConfig", extra="xmpp"),
}
"""By the `type` of a channel's table. Its adapter is the module or package of this name in `prx.channels.adapters`."""


def table_of(kind: str) -> type[ChannelConfig]:
    """Return the table of channels of a type; that of one that PRX does not know takes any key."""
    platform = PLATFORMS.get(kind)
    if platform is None:
        return ChannelConfig
    table: type[PlatformConfig] = getattr(import_module(f"prx.config.platforms.{kind}"), platform.table)
    return table


def _of_platforms(tables: Any, info: ValidationInfo) -> Any:
    """Validate each table by the keys of its platform, which the name may tell, and the table alone does not know."""
    if not isinstance(tables, dict):
        return tables
    made: dict[str, Any] = {}
    wrong: list[InitErrorDetails] = []
    for name, table in tables.items():
        made[name] = table
        if isinstance(table, dict):
            kind = table.get("type", name)
            known = table_of(kind if isinstance(kind, str) else "")
            try:
                made[name] = _validated(known, table, info)
            except ValidationError as error:
                wrong += (_told(detail, name, known) for detail in error.errors(include_url=False))
    if wrong:
        raise ValidationError.from_exception_data("channels_config", wrong)
    return made


Channels = Annotated[dict[Name, ChannelConfig], BeforeValidator(_of_platforms), SerializeAsAny()]
"""Each table is an instance of what `table_of` its type returns."""


def _validated(known: type[ChannelConfig], table: dict[str, Any], info: ValidationInfo) -> ChannelConfig:
    if info.mode == "python":
        return known.model_validate(table, context=info.context)
    # Behind a validator of ours JSON has become objects of Python, and strict means something else for those.
    return known.model_validate_json(json.dumps(table), strict=True, context=info.context)


def _told(detail: ErrorDetails, name: str, known: type[ChannelConfig]) -> InitErrorDetails:
    """Say what is wrong with a key that the schema as a whole does not know."""
    key, place = detail["loc"][0] if detail["loc"] else "", (name, *detail["loc"])
    field = known.model_fields.get(str(key))
    if field is None and detail["type"] == "extra_forbidden":
        told = _unknown(str(key), known.model_fields)
    elif (
        field is None
        or str(key) in ChannelConfig.model_fields
        or detail["type"] in ("missing", "value_error")
    ):
        return InitErrorDetails(
            type=detail["type"], loc=place, input=detail["input"], ctx=detail.get("ctx", {})
        )
    else:
        told = f"expected {described(field.annotation, field.metadata)}"
        if not is_secret_key(str(key)) and not isinstance(detail["input"], dict | list):
            told += f", not {echo(detail['input'])}"
    # As text without places to fill in: what is told may have braces in it.
    fault = PydanticCustomError("value_error", "{told}", {"told": told})
    return InitErrorDetails(type=fault, loc=place, input=None)


def _unknown(key: str, known: Iterable[str]) -> str:
    close = get_close_matches(key, known, n=1, cutoff=0.6)
    return (
        f'unknown key; did you mean "{close[0]}"?'
        if close
        else f"unknown key; there are {', '.join(sorted(known))}"
    )


def _with_secrets_hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_secrets_hidden(item) for item in value]
    return value


def _hidden(key: str, value: Any) -> Any:
    if not is_secret_key(key):
        return _with_secrets_hidden(value)
    if isinstance(value, SecretStr):  # hidden already: a table that was made is looked at again
        return value
    if not isinstance(value, str):
        raise ValueError(f"{key}: expected a string")  # noqa: TRY004  # pydantic reports ValueErrors only
    try:
        return SecretStr(from_environment(value))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
