"""Server-Sent Events: answers that go on, each at the pace of its reader.

A stream holds no queue: it asks its source for frames when the reader has taken the last ones. A reader that takes
nothing costs a few kilobytes of buffers, and the daemon no time. Streams end when the daemon drains, but for those
that have an end of their own, when their token is no longer valid, and when their reader has stalled for minutes.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, Protocol

from aiohttp import hdrs, web

from prx.core.errors import UnavailableError

_MAX_STREAMS: Final = 512
_BEAT_SECS: Final = 15.0
_STALLED_SECS: Final = 300.0
_BUFFER_BYTES: Final = 32 * 1024
_BEAT: Final = b":\n\n"


class Source(Protocol):
    """What a stream tells."""

    async def next_frames(self) -> bytes | None:
        """Wait for news and return them as frames, about 64 KiB at most; None where nothing will come any more.

        It may be cancelled at any time and is then called again: nothing is lost by that.
        """


def frame(event: str, data: bytes, number: int | str | None = None) -> bytes:
    """Return one event; `data` is of one line, `number` is what a reader resumes behind."""
    identity = b"" if number is None else b"id: %b\n" % str(number).encode()
    return b"%bevent: %b\ndata: %b\n\n" % (identity, event.encode(), data)


def dropped(count: int) -> bytes:
    """Return what tells a reader how many events it was too slow for."""
    return frame("dropped", b'{"dropped": %d}' % count)


class Streams:
    """Every stream that is open."""

    def __init__(
        self,
        lift_deadline: Callable[[], None],
        admits: Callable[[web.Request], bool],
        *,
        beat_secs: float = _BEAT_SECS,
        stalled_secs: float = _STALLED_SECS,
    ) -> None:
        """Start with none.

        Args:
            lift_deadline: lets the current request go on for longer than requests may.
            admits: tells whether a request would still be let in.
            beat_secs: how often a comment shows that the stream lives, and the token is looked at.
            stalled_secs: how long a reader may take nothing.
        """
        self._lift_deadline = lift_deadline
        self._admits = admits
        self._beat_secs = beat_secs
        self._stalled_secs = stalled_secs
        self._open: set[_Stream] = set()
        self._ended = False

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    async def send(self, request: web.Request, source: Source, *, ends: bool = False) -> web.StreamResponse:
        """Answer `request` with what `source` tells, until that or the stream is ended, or the reader leaves.

        A source that `ends` by itself goes on while the daemon drains.

        Raises:
            UnavailableError: too many streams are open.
        """
        if len(self._open) >= _MAX_STREAMS or self._ended:
            raise UnavailableError(
                f"{len(self._open)} streams are open, or the daemon is stopping: try again later"
            )
        response = web.StreamResponse(headers={"X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        response.force_close()
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            return response
        self._lift_deadline()
        stream = _Stream(request, response, self._stalled_secs, ends=ends)
        self._open.add(stream)
        try:
            await self._pump(stream, source, request)
        except (ConnectionError, TimeoutError):
            stream.abort()  # the reader has gone, or takes nothing
        finally:
            self._open.discard(stream)
        return response

    def drain(self) -> None:
        """End the streams that would go on for ever; new ones are refused."""
        self._ended = True
        for stream in self._open:
            if not stream.ends:
                stream.end()

    def end(self) -> None:
        """End every stream, now; new ones are refused."""
        self._ended = True
        for stream in self._open:
            stream.end()

    async def _pump(self, stream: "_Stream", source: Source, request: web.Request) -> None:
        loop = asyncio.get_running_loop()
        next_beat = loop.time() + self._beat_secs
        # At once: the reader learns that it is connected, and proxies that this is a stream.
        await stream.write(_BEAT)
        while not stream.ended:
            frames = await stream.next_before(next_beat, source)
            if frames is None:
                return
            if loop.time() >= next_beat:
                next_beat = loop.time() + self._beat_secs
                if not self._admits(request):
                    return
                frames += _BEAT
            if frames:
                await stream.write(frames)
            # A reader with much to catch up on lets the others have their turn.
            await asyncio.sleep(0)


class _Stream:
    """One connection."""

    def __init__(
        self, request: web.Request, response: web.StreamResponse, stalled_secs: float, *, ends: bool
    ) -> None:
        self.ends = ends
        self.ended = False
        self._response = response
        self._writer = request.writer
        self._transport = request.transport
        self._stalled_secs = stalled_secs
        self._waiting: asyncio.Timeout | None = None
        self._writing = False
        if self._transport is not None:
            _keep_buffers_small(self._transport)

    async def next_before(self, due: float, source: Source) -> bytes | None:
        """Return the next frames; empty ones when the time has come or the stream is ended."""
        try:
            async with asyncio.timeout_at(due) as self._waiting:
                return await source.next_frames()
        except TimeoutError:
            return b""
        finally:
            self._waiting = None

    async def write(self, frames: bytes) -> None:
        """Send, and wait until the reader has taken what was sent before.

        Raises:
            ConnectionError: the reader has gone.
            TimeoutError: it took nothing for too long.
        """
        self._writing = True
        try:
            async with asyncio.timeout(self._stalled_secs):
                await self._response.write(frames)
                await self._writer.drain()
        finally:
            self._writing = False

    def end(self) -> None:
        """Stop waiting for news; a reader that takes nothing is cut off."""
        self.ended = True
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())
        if self._writing:
            self.abort()

    def abort(self) -> None:
        """Close the connection without a word more."""
        if self._transport is not None:
            self._transport.abort()


def _keep_buffers_small(transport: asyncio.Transport) -> None:
    """Let a reader that stalls hold little memory, here and in the kernel."""
    transport.set_write_buffer_limits(high=_BUFFER_BYTES)
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
