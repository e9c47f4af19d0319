"""The sessions of MCP's older versions: whose they are, how many there may be, and when they end.

The SDK keeps what belongs to the protocol. It knows neither tokens that are revoked, nor calls that go past it, nor
which of a client's forgotten sessions may make room for a new one: all of that is here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from prx.core.errors import UnavailableError
from prx.mcp.server.caller import Caller

_MAX_SESSIONS: Final = 512
_MAX_PER_TOKEN: Final = 64
_IDLE_SECS: Final = 1800.0
_MAX_UNTOLD: Final = 256
_TELL_SECS: Final = 60.0

Send = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Sends a notification with this method and these parameters to the client of one session; raises nothing."""


class Session:
    """One client from its `initialize` on."""

    def __init__(self, caller: Caller, now: float) -> None:
        """Begin with the request of `caller` that opens it."""
        self.caller = caller
        self.id: str | None = None
        """None until it is established."""
        self.version: str | None = None
        """The version of MCP that was agreed upon; None until the client said that it is ready."""
        self.askable: Mapping[str, Any] = {}
        """What the client can be asked; see `Ask`."""
        self.level: str | None = None
        """The least level of the servers' logs that it wants to hear."""
        self.subscribed: set[str] = set()
        """Resources that it wants to hear of."""
        self.listening = 0
        """Open streams on which it hears of news."""
        self._send: Send | None = None
        self._untold: deque[tuple[str, Mapping[str, Any]]] = deque(maxlen=_MAX_UNTOLD)
        self._telling: asyncio.Task[None] | None = None
        self._missed: set[str] = set()
        self.calls: dict[Any, asyncio.Task[dict[str, Any]]] = {}
        """Calls past the SDK that run now, by the id of their request."""
        self.open = 0
        """Requests that are being answered, open streams included."""
        self.used_at = now

    @property
    def asked_level(self) -> str | None:
        """The least level that servers are asked for on its behalf: who may only list asks them for nothing."""
        return self.level if self.caller.may_call else None

    def ready(self, version: str, send: Send, askable: Mapping[str, Any]) -> None:
        """Note that the handshake is over, and what the client can be asked."""
        self.version = version
        self.askable = askable
        self._send = send

    def tell(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification when the client takes it; of one that takes nothing the oldest are dropped."""
        if self._send is None:
            return
        if not self.listening and params is None:
            self._missed.add(method)
        if (told := (method, params or {})) in self._untold:
            return  # it looks after it anyway
        self._untold.append(told)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all(self._send))

    def heard_again(self) -> None:
        """Tell which lists changed while it had no stream: the SDK drops what nobody listens to."""
        missed, self._missed = self._missed, set()
        for method in sorted(missed):
            self.tell(method)

    async def aclose(self) -> None:
        """Tell nothing more."""
        self._send = None
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait({self._telling})

    async def _tell_all(self, send: Send) -> None:
        with suppress(TimeoutError):  # it takes nothing: the next news tries again
            while self._untold:
                async with asyncio.timeout(_TELL_SECS):
                    await send(*self._untold.popleft())


class Sessions:
    """Every session that is open."""

    def __init__(
        self,
        end: Callable[[Session], Awaitable[None]],
        *,
        clock: Callable[[], float],
        idle_secs: float = _IDLE_SECS,
        max_sessions: int = _MAX_SESSIONS,
        max_per_token: int = _MAX_PER_TOKEN,
    ) -> None:
        """Start with none; `end` has the SDK forget one."""
        self._end = end
        self._clock = clock
        self._idle_secs = idle_secs
        self._max_sessions = max_sessions
        self._max_per_token = max_per_token
        self._sessions: set[Session] = set()
        self._by_id: dict[str, Session] = {}

    def __len__(self) -> int:
        """Return how many there are, those that are being opened included."""
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        """Iterate over those that are established."""
        return iter(list(self._by_id.values()))

    def get(self, session_id: str | None, caller: Caller) -> Session | None:
        """Return the session with this id, if it is the caller's; it counts as used now."""
        session = None if session_id is None else self._by_id.get(session_id)
        if session is None or session.caller.token_id != caller.token_id:
            return None
        self.touch(session)
        return session

    def touch(self, session: Session) -> None:
        """Note that it is used now."""
        session.used_at = self._clock()

    async def open(self, caller: Caller) -> Session:
        """Return a new session; of a token that has many the one unused for longest makes room.

        Raises:
            UnavailableError: there are too many, and all of the caller's are in use.
        """
        own = [session for session in self._sessions if session.caller.token_id == caller.token_id]
        if len(own) >= self._max_per_token or len(self._sessions) >= self._max_sessions:
            unused = [each for each in own if each.id is not None and not (each.open or each.calls)]
            if not unused:
                raise UnavailableError(
                    f"{len(self._sessions)} MCP sessions are open, {len(own)} of them with token "
                    f'"{caller.token_name}", and none of these can make room: end some, or try again later',
                    retry_after_secs=5,
                )
            await self.end(min(unused, key=lambda session: session.used_at))
        session = Session(caller, self._clock())
        self._sessions.add(session)
        return session

    def establish(self, session: Session, session_id: str) -> None:
        """Note the id under which the client will name it."""
        session.id = session_id
        self._by_id[session_id] = session

    def forget(self, session: Session) -> None:
        """Note that it has ended, or was never established."""
        self._sessions.discard(session)
        if session.id is not None:
            self._by_id.pop(session.id, None)

    async def end(self, session: Session) -> None:
        """End a session: its streams end, its id is unknown from now on."""
        self.forget(session)
        await self._end(session)

    async def sweep(self) -> None:
        """End those whose token is not let in any more, and those that nobody used for long."""
        now = self._clock()
        for session in self:
            idle = not session.open and now - session.used_at >= self._idle_secs
            if idle or not session.caller.still_admitted():
                await self.end(session)
