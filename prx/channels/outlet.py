"""Saying something to one conversation: in the platform's pace, over whatever connection there is."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from prx.channels.connections import Connections
from prx.channels.malformed import understood
from prx.channels.pacing import Paces
from prx.core.channel import Capabilities, ChannelAdapter, OutgoingMessage
from prx.core.channel_errors import MarkupRefusedError, ThrottledError, UndeliverableError
from prx.core.errors import PrxError, UnavailableError
from prx.runtime.backoff import Backoff
from prx.runtime.logging import get_logger

_SEND_SECS: Final = 60.0
_LEAST_BYTES_PER_SEC: Final = 128 * 1024
"""Of files: larger ones get longer."""
_MOST_FILE_FAILURES: Final = 8
"""In a row, after which it is the file that the platform does not take; within some minutes of being connected."""
_LEAST_WAIT_SECS: Final = 0.05
_LAST_SECS: Final = 2.0
"""What is being said gets when everything ends."""

_log = get_logger("channels::outlet")


class Outlet:
    """One conversation of one channel, for what is to be said there."""

    def __init__(self, connections: Connections, paces: Paces, channel: str, conversation: str) -> None:
        """Say nothing yet."""
        self._connections = connections
        self._paces = paces
        self._channel = channel
        self._key = (channel, conversation)

    async def capabilities(self) -> Capabilities:
        """Return what the platform can do; waits for a connection that tells."""
        return (await self._connections.wait(self._channel)).capabilities

    def capabilities_now(self) -> Capabilities | None:
        """Return what the platform can do, where there is a connection."""
        adapter = self._connections.find(self._channel)
        return None if adapter is None else adapter.capabilities

    async def say(
        self, message: OutgoingMessage, noted: Callable[[], Awaitable[None]], *, instead_of: str | None = None
    ) -> None:
        """Say it, however long that takes: over another connection, later, without markup; in place of a message.

        `noted` keeps that it was said. Whoever cancels this waits a moment for what is being said: else it would be
        said twice.

        Raises:
            UndeliverableError: it can never be said there; or it has files, and failed again and again.
        """
        backoff, failures = Backoff(), 0
        while True:
            adapter = await self._connections.wait(self._channel)
            await self._paces.wait(self._key)
            try:
                await whole(self._said(adapter, message, instead_of, noted))
            except MarkupRefusedError as error:
                if message.formatted is None:
                    raise UndeliverableError(f"the platform refused a plain text: {error.message}") from error
                message = replace(message, formatted=None)
            except ThrottledError as error:
                _log.info("the platform wants it slower", channel=self._channel, secs=error.retry_after_secs)
            except UndeliverableError:
                if instead_of is None:
                    raise
                instead_of = None  # perhaps the user removed it
            except PrxError as error:
                failures += 1
                if message.files and failures >= _MOST_FILE_FAILURES:
                    raise UndeliverableError(error.message) from error
                pause = backoff.pause_secs()
                _log.warning(
                    "a message waits",
                    channel=self._channel,
                    reason=error.message,
                    again_in_secs=round(pause, 1),
                )
                await asyncio.sleep(pause)
            else:
                return

    async def attempt(self, message: OutgoingMessage, *, instead_of: str | None = None) -> str | None:
        """Say it now, or not at all; return what the message can be changed by, None where nothing was said."""
        adapter = self._connections.find(self._channel)
        if adapter is None or self._paces.must_wait(self._key):
            return None
        try:
            return await self._once(adapter, message, instead_of)
        except PrxError as error:
            _log.debug("a draft was left out", channel=self._channel, reason=error.message)
            return None

    async def type_for_ever(self, thread: str | None) -> None:
        """Show that an answer is being written, until this is cancelled."""
        while True:
            adapter = await self._connections.wait(self._channel)
            secs = adapter.capabilities.typing_secs
            if secs is None:
                return
            if not self._paces.must_wait(self._key):
                try:
                    with understood(UnavailableError):
                        async with asyncio.timeout(secs):
                            await adapter.typing(self._key[1], thread)
                except (TimeoutError, PrxError) as error:
                    _log.debug("typing could not be shown", channel=self._channel, reason=str(error))
            await asyncio.sleep(secs)

    async def _said(
        self,
        adapter: ChannelAdapter,
        message: OutgoingMessage,
        instead_of: str | None,
        noted: Callable[[], Awaitable[None]],
    ) -> None:
        await self._once(adapter, message, instead_of)
        await noted()

    async def _once(
        self, adapter: ChannelAdapter, message: OutgoingMessage, instead_of: str | None
    ) -> str | None:
        secs = _SEND_SECS + sum(len(file.content) for file in message.files) / _LEAST_BYTES_PER_SEC
        try:
            # It may have been said all the same: not once more.
            with understood(UndeliverableError):
                async with asyncio.timeout(secs):
                    if instead_of is None:
                        return await adapter.send(message)
                    await adapter.edit(instead_of, message)
                    return instead_of
        except ThrottledError as error:
            self._paces.defer(self._key, max(error.retry_after_secs, _LEAST_WAIT_SECS))
            raise
        except TimeoutError:
            raise UnavailableError(f"the platform did not answer within {secs:.0f} s") from None
        finally:
            self._paces.defer(self._key, adapter.capabilities.pace_secs)


async def whole(work: Coroutine[Any, Any, None]) -> None:
    """Do `work`; where this is cancelled, only once that is done, or has taken too long.

    What was said and is not known of would be said twice.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=_LAST_SECS)
        task.cancel()
        raise
