"""What a server of the newer era tells unasked: on a stream that is asked for, and asked for anew when wants change."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

from mcp import Client, MCPError
from mcp.client.subscriptions import Subscription, SubscriptionLost

from prx.core.upstream import UpstreamError
from prx.mcp.client.requests import SlowError

# How older versions ask for what is a part of the stream here.
SUBSCRIBE: Final = "resources/subscribe"
UNSUBSCRIBE: Final = "resources/unsubscribe"
_INVALID: Final = -32602
_AGAIN_SECS: Final = 5.0

Noticed = Callable[[str, Mapping[str, Any]], None]
"""Told of a notification: its method and params."""


class Listening:
    """The stream of one connection, and what is wanted of it."""

    def __init__(self, client: Client, capabilities: Mapping[str, Any], noticed: Noticed) -> None:
        """Hear over `client` of the lists that a server with these `capabilities` says may change.

        What it tells comes to the client's message handler. `noticed` is told of all that may have changed while there
        was no stream.
        """
        self._client = client
        self._noticed = noticed
        self._lists = [
            kind
            for kind in ("tools", "prompts", "resources")
            if isinstance(about := capabilities.get(kind), Mapping) and about.get("listChanged")
        ]
        self._uris: set[str] = set()
        self._changed = asyncio.Event()
        self._waiting: list[tuple[str, asyncio.Future[bool]]] = []

    async def subscribe(self, uri: str, within_secs: float) -> None:
        """Hear of changes of a resource, too.

        Raises:
            UpstreamError: the server does not tell of them, or refuses to tell anything.
            SlowError: it does not answer in time.
        """
        self._uris.add(uri)
        heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((uri, heard))
        self._changed.set()
        is_told = False
        try:
            async with asyncio.timeout(within_secs):
                is_told = await heard
        except TimeoutError:
            raise SlowError(f"no answer to subscriptions/listen within {within_secs:g} s") from None
        finally:
            if not is_told:
                # What it does not take could keep it from telling anything else.
                self.unsubscribe(uri)
        if not is_told:
            raise UpstreamError(f"the server does not tell of changes of {uri}", _INVALID)

    def unsubscribe(self, uri: str) -> None:
        """Hear no more of a resource."""
        self._uris.discard(uri)
        self._changed.set()

    async def keep(self) -> None:
        """Have a stream as long as something is wanted, for ever: another one is open before the last is closed."""
        missed = False
        async with AsyncExitStack() as current:
            while True:
                self._changed.clear()
                if not (self._lists or self._uris):
                    await current.aclose()
                    await self._changed.wait()
                    continue
                newer = AsyncExitStack()
                try:
                    subscription = await self._open(newer)
                except (MCPError, SubscriptionLost, TimeoutError):
                    is_over = True
                else:
                    await current.aclose()
                    current.push_async_exit(newer)
                    if missed:
                        self._tell_all()
                    is_over = await self._is_over(subscription)
                missed = is_over
                if is_over:
                    await asyncio.sleep(_AGAIN_SECS)

    async def _open(self, stack: AsyncExitStack) -> Subscription:
        """Open a stream for all that is wanted now, and tell those who wait for it what is heard on it."""
        waiting, self._waiting = self._waiting, []
        listen = self._client.listen(
            **{f"{kind}_list_changed": True for kind in self._lists},
            resource_subscriptions=sorted(self._uris),
        )
        try:
            subscription = await stack.enter_async_context(listen)
        except (MCPError, SubscriptionLost, TimeoutError) as error:
            number = error.error.code if isinstance(error, MCPError) else 0
            for _, heard in waiting:
                if not heard.done():
                    heard.set_exception(UpstreamError(f"the server tells nothing: {error}", number))
            raise
        told = set(subscription.honored.resource_subscriptions or ())
        for uri, heard in waiting:
            if not heard.done():
                heard.set_result(uri in told)
        return subscription

    async def _is_over(self, subscription: Subscription) -> bool:
        """Wait until a stream has ended, which is True, or something else is wanted."""

        async def read() -> None:
            async for _ in subscription:
                pass  # the message handler hears of it as well

        reading, changed = asyncio.ensure_future(read()), asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({reading, changed}, return_when=asyncio.FIRST_COMPLETED)
            return not changed.done()
        finally:
            reading.cancel()
            changed.cancel()
            await asyncio.gather(reading, changed, return_exceptions=True)

    def _tell_all(self) -> None:
        for kind in self._lists:
            self._noticed(f"notifications/{kind}/list_changed", {})
        for uri in sorted(self._uris):
            self._noticed("notifications/resources/updated", {"uri": uri})
