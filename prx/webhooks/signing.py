"""New secrets of webhooks, and the signatures made with them, after the Standard Webhooks specification."""

import base64
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

from prx.core.webhook import SECRET_PREFIX, key_of

_NEW_BYTES: Final = 32


def new_secret() -> str:
    """Return a secret that nobody knows yet."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


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
    second = str(int(sent_at.timestamp()))
    signed = f"{event_id}.{second}.".encode() + body
    signatures = [f"v1,{base64.b64encode(_digest(secret, signed)).decode()}" for secret in keys]
    return [
        ("Content-Type", "application/json"),
        ("webhook-id", event_id),
        ("webhook-timestamp", second),
        ("webhook-signature", " ".join(signatures)),
        ("X-PRX-Signature", f"sha256={_digest(keys[0], body).hex()}"),
    ]


def _digest(secret: str, message: bytes) -> bytes:
    mac = _mac(secret).copy()
    mac.update(message)
    return mac.digest()


@lru_cache(maxsize=256)
def _mac(secret: str) -> hmac.HMAC:
    # To copy it takes less than to make it; and `hmac.digest` lets go of the interpreter each time.
    return hmac.new(key_of(secret), digestmod="sha256")
