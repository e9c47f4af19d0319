"""Posting answers to where the operator wants them: signed, through the egress guard."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Self

from prx.config.platforms.webhook import WebhookConfig
from prx.core.channel_errors import ThrottledError, UndeliverableError
from prx.core.egress.errors import EgressError
from prx.core.egress.policy import AnyTarget
from prx.core.egress.target import Target
from prx.core.errors import UnavailableError
from prx.core.ids import new_id
from prx.core.webhook import SIGNED_HEADERS, signature
from prx.runtime.egress.delivery import DeliveryClient
from prx.runtime.egress.resolver import SystemNames, checked_addresses

_MAX_CONNECTIONS: Final = 4
_SECS: Final = 30.0
_MAX_RESPONSE_BYTES: Final = 1024
_CONNECT_SECS: Final = 5.0
_MOST_PAUSE_SECS: Final = 3600.0


class Callback:
    """The receiver of answers."""

    def __init__(
        self, url: str, config: WebhookConfig, key: str, names: SystemNames, client: DeliveryClient
    ) -> None:
        """Use `open`: the client belongs to a block."""
        self._target = Target.parse(url)
        self._policy = AnyTarget(config.allow_private_callback, key)
        self._secret = config.secret.get_secret_value()
        self._names = names
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, config: WebhookConfig, key: str) -> AsyncIterator[Self]:
        """Be able to post for the length of the block; `key` is what allows private addresses."""
        names = SystemNames(threads=1)
        try:
            async with DeliveryClient(names, max_connections=_MAX_CONNECTIONS) as client:
                yield cls(url, config, key, names, client)
        finally:
            names.close()

    async def post(self, said: Mapping[str, Any], key: str | None) -> None:
        """Post an answer; under the same key it is the same `webhook-id`, by which a receiver knows a repeat.

        Raises:
            UndeliverableError: the receiver does not want it, or may not be reached.
            ThrottledError, UnavailableError: perhaps later.
        """
        body = json.dumps(said, ensure_ascii=False).encode()
        message_id, second = key or new_id("msg"), str(int(time.time()))
        values = (message_id, second, signature(self._secret, message_id, second, body))
        headers = [("Content-Type", "application/json"), *zip(SIGNED_HEADERS, values, strict=True)]
        try:
            receipt = await self._client.deliver(
                self._target,
                body,
                headers=headers,
                policy=self._policy,
                timeout_secs=_SECS,
                max_response_bytes=_MAX_RESPONSE_BYTES,
            )
        except EgressError as error:
            raise UnavailableError(f"callback_url: {error.message}") from error
        _check(receipt.status, receipt.retry_after)

    async def reach(self) -> float:
        """Connect to the receiver and leave it alone; return how many seconds that took.

        Raises:
            UnavailableError: it cannot be reached; says why.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(_CONNECT_SECS):
                addresses = await checked_addresses(self._target, self._names, self._policy)
                _, writer = await asyncio.open_connection(str(addresses[0]), self._target.port)
        except EgressError as error:
            raise UnavailableError(f"callback_url: {error.message}") from error
        except (OSError, TimeoutError) as error:
            raise UnavailableError(f"callback_url: {self._target.origin} cannot be reached") from error
        writer.close()
        return time.monotonic() - began


def _check(status: int, retry_after: str | None) -> None:
    if 200 <= status < 300:  # noqa: PLR2004  # the class of successes
        return
    told = f"callback_url: the receiver answered {status}"
    if status == 429:  # noqa: PLR2004  # too many requests
        secs = float(retry_after) if retry_after is not None and retry_after.isdecimal() else 1.0
        raise ThrottledError(told, retry_after_secs=min(secs, _MOST_PAUSE_SECS))
    if status >= 500 or status == 408:  # noqa: PLR2004  # the class of the server's own failures, and a timeout
        raise UnavailableError(told)
    raise UndeliverableError(told)
