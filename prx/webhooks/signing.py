"""Secrets of webhooks and the signatures made with them, after the Standard Webhooks specification."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

PREFIX: Final = "whsec_"
_NEW_BYTES: Final = 32
_MAX_BYTES: Final = 512
_WHAT_IT_IS: Final = (
    f'a secret is "{PREFIX}" and 1 to {_MAX_BYTES} bytes in base64, such as `openssl rand -base64 32` gives'
)


def new_secret() -> str:
    """Return a secret that nobody knows yet."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def checked_secret(text: str) -> str:
    """Return `text` if it is a secret; base64 may lack its padding.

    Raises:
        ValueError: it is none; says what one is, and never repeats it.
    """
    if not text.startswith(PREFIX) or not 1 <= len(_key(text)) <= _MAX_BYTES:
        raise ValueError(_WHAT_IT_IS)
    return text


def signed_headers(
    event_id: str, body: bytes, keys: Sequence[str], sent_at: datetime
) -> list[tuple[str, str]]:
    """Return the headers that prove to who has one of the secrets `keys` that `body` is ours and was sent now.

    Args:
        event_id: what tells the receiver of an event that comes twice.
        body: exactly what is sent.
        keys: the newest first; after a change of secrets the one before is used beside it.
        sent_at: when this attempt is made.
    """
    sent_at = sent_at.astimezone(UTC)
    text = body.decode()
    signatures = [Webhook(_key(secret)).sign(event_id, sent_at, text) for secret in keys]
    digest = hmac.new(_key(keys[0]), body, hashlib.sha256).hexdigest()
    return [
        ("Content-Type", "application/json"),
        ("webhook-id", event_id),
        ("webhook-timestamp", str(int(sent_at.timestamp()))),
        ("webhook-signature", " ".join(signatures)),
        ("X-PRX-Signature", f"sha256={digest}"),
    ]


def _key(secret: str) -> bytes:
    encoded = secret.removeprefix(PREFIX).rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(_WHAT_IT_IS) from None
