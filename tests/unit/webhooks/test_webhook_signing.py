"""Signatures that the reference implementation of Standard Webhooks accepts, and secrets in every spelling it has."""

import base64
import hashlib
import hmac
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from prx.core.ids import now_utc
from prx.webhooks.signing import new_secret, signed_headers

KEYS = st.binary(min_size=1, max_size=512)
BODIES = st.text().map(str.encode)


def spelled(key: bytes, *, padded: bool = True) -> str:
    text = "whsec_" + base64.b64encode(key).decode()
    return text if padded else text.rstrip("=")


@given(key=KEYS, body=BODIES, padded=st.booleans())
def test_every_delivery_passes_the_reference_verifier(key: bytes, body: bytes, padded: bool) -> None:  # noqa: FBT001
    secret = spelled(key, padded=padded)
    headers = dict(signed_headers("evt_1", body, [secret], now_utc()))
    Webhook(secret).verify(body, headers, json_parse=False)
    assert headers["X-PRX-Signature"] == f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"


@given(keys=st.lists(KEYS, min_size=2, max_size=2, unique=True), body=BODIES)
def test_while_secrets_overlap_who_has_either_accepts_the_delivery(keys: list[bytes], body: bytes) -> None:
    secrets = [spelled(key) for key in keys]
    headers = dict(signed_headers("evt_1", body, secrets, now_utc()))
    for secret in secrets:
        Webhook(secret).verify(body, headers, json_parse=False)


def test_a_delivery_that_was_changed_or_is_old_is_refused() -> None:
    secret = new_secret()
    now = now_utc()
    headers = dict(signed_headers("evt_1", b"{}", [secret], now))
    for changed in (
        (b"{ }", headers),
        (b"{}", headers | {"webhook-id": "evt_2"}),
        (b"{}", dict(signed_headers("evt_1", b"{}", [new_secret()], now))),
        (b"{}", dict(signed_headers("evt_1", b"{}", [secret], now - timedelta(minutes=6)))),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(*changed)


def test_new_secrets_are_32_bytes_that_differ() -> None:
    first, second = new_secret(), new_secret()
    assert first != second
    assert len(base64.b64decode(first.removeprefix("whsec_"))) == 32
