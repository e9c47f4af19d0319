"""The keys of webhook channels."""

from typing import Annotated

from pydantic import AfterValidator, SecretStr

from prx.config.channels import PlatformConfig
from prx.config.types import Secret, hot
from prx.core.webhook import key_of, target_of


def _url(url: str) -> str:
    target_of(url, allow_private=True)  # where it may lead is asked at each answer
    return url


def _secret(secret: SecretStr) -> SecretStr:
    key_of(secret.get_secret_value())
    return secret


class WebhookConfig(PlatformConfig):
    """Programs that post signed messages over HTTP."""

    secret: Annotated[Secret, AfterValidator(_secret)] = hot(
        "Key that messages and answers are signed with, after the Standard Webhooks specification."
    )
    callback_url: Annotated[str, AfterValidator(_url)] | None = hot(
        "Address that answers are posted to; unset gives them in the response.", None, repr=False
    )
    allow_private_callback: bool = hot(
        "Allow a `callback_url` on private, loopback and link-local networks.", default=False
    )
    response_timeout_secs: int = hot(
        "Seconds that a response waits for its answer, without `callback_url`.", 120, ge=1, le=300
    )
