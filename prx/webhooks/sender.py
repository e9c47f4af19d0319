"""One attempt: signed, through the egress guard, and judged."""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from prx.config.integrations import HooksConfig
from prx.core.egress.errors import EgressError
from prx.core.egress.target import Target
from prx.core.ids import iso_utc, now_utc
from prx.core.webhook import targets
from prx.runtime.egress.delivery import DeliveryClient
from prx.webhooks.hook import Hook, Keys, Outcome
from prx.webhooks.pauses import retry_after_secs
from prx.webhooks.signing import signed_headers

_MAX_RESPONSE_BYTES: Final = 64 * 1024
_MAX_EXCERPT_CHARS: Final = 512
_target = lru_cache(maxsize=256)(Target.parse)


class Sender:
    """Posts events to hooks."""

    def __init__(self, client: DeliveryClient, config: Callable[[], HooksConfig]) -> None:
        """Send through `client`, under the rules that `config` has at the time."""
        self._client = client
        self._config = config

    async def send(self, hook: Hook, keys: Keys, event_id: str, body: bytes) -> Outcome:
        """Post `body` once; whatever happens is the outcome."""
        config, at = self._config(), now_utc()
        began = time.monotonic()
        try:
            receipt = await self._client.deliver(
                _target(hook.url),
                body,
                headers=signed_headers(event_id, body, keys.at(at), at),
                policy=targets(allow_private=config.allow_private_targets),
                timeout_secs=config.timeout_secs,
                max_response_bytes=_MAX_RESPONSE_BYTES,
            )
        except EgressError as error:
            return Outcome(iso_utc(at), delivered=False, latency_ms=_ms_since(began), error=error.message)
        fault = _fault(receipt.status)
        return Outcome(
            iso_utc(at),
            delivered=fault is None,
            status=receipt.status,
            latency_ms=_ms_since(began),
            error=fault,
            excerpt=receipt.beginning.decode(errors="replace")[:_MAX_EXCERPT_CHARS] or None,
            retry_after_secs=None if fault is None else retry_after_secs(receipt.retry_after),
        )


def _ms_since(began: float) -> int:
    return round(1000 * (time.monotonic() - began))


def _fault(status: int) -> str | None:
    """Return why an answer does not mean that the event was taken."""
    if 200 <= status < 300:  # noqa: PLR2004  # the class of successes
        return None
    if 300 <= status < 400:  # noqa: PLR2004  # the class of redirects
        return f"the receiver answered {status}, a redirect, which is not followed: give the hook its goal as URL"
    return f"the receiver answered {status}"
