"""`/ws/sessions/:id`, outside `/api/v1`: talking in a session over a WebSocket.

A socket holds no queue: it reads a frame when it has dealt with the one before, and tells of turns as its reader takes
what was told. A turn goes on whatever becomes of the socket.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from aiohttp import WSCloseCode, WSMessage, WSMsgType, hdrs, web
from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import from_json

from prx.agent.agent import Agent
from prx.agent.feed import TurnEvent
from prx.agent.pending import Pending
from prx.api.bodies import Body, encoded
from prx.api.contents import fit_content, fit_key
from prx.api.deps import AGENT, REQUEST_ID, SESSIONS, SOCKETS
from prx.api.edge import BEARER_PROTOCOL, Edge
from prx.api.errors import of_validation
from prx.api.expectations import known_expectation
from prx.api.turn_stream import shown_event
from prx.core.errors import BadRequestError, PrxError, UnavailableError

PATH: Final = "/ws/sessions/{id}"
PROTOCOL: Final = "prx"
_MAX_SOCKETS: Final = 512
_MAX_FRAME_BYTES: Final = 1 << 20
_MAX_REF_CHARS: Final = 64
_BEAT_SECS: Final = 15.0
_STALLED_SECS: Final = 300.0


class SaidMessage(Body):
    """Something to say in the session."""

    type: str
    content: Annotated[str, AfterValidator(fit_content)]
    key: Annotated[str, AfterValidator(fit_key)] | None = None
    """As the header `Idempotency-Key`."""
    ref: str | None = Field(default=None, max_length=_MAX_REF_CHARS)
    """Whatever the caller wants to know the turn's events by."""


class Cancellation(Body):
    """What is to be given up."""

    type: str
    message_id: str | None = None
    """One message's turn; otherwise all of the session's."""


class Decision(Body):
    """Whether a call of a tool may run."""

    type: str
    id: str
    """Of the approval."""
    approve: bool
    reason: str | None = Field(default=None, min_length=1, max_length=1000)


class Ping(Body):
    """A question whether the other side is there."""

    type: str


Frame = SaidMessage | Cancellation | Decision | Ping

_FRAMES: Final[Mapping[str, type[Frame]]] = {
    "message": SaidMessage,
    "cancel": Cancellation,
    "approval": Decision,
    "ping": Ping,
}


class Sockets:
    """Every socket that is open."""

    def __init__(self, *, beat_secs: float = _BEAT_SECS) -> None:
        """Start with none; every `beat_secs` a socket's token is looked at."""
        self._beat_secs = beat_secs
        self._open: set[_Socket] = set()
        self._draining = False

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    async def serve(self, request: web.Request, admits: Callable[[], bool]) -> web.StreamResponse:
        """Talk with who sent `request`, for as long as `admits` says that they may.

        Raises:
            BadRequestError: it does not ask for a WebSocket.
            NotFoundError: there is no such session.
            UnavailableError: too many sockets are open, or the daemon is stopping.
        """
        session = await request.app[SESSIONS].get(request.match_info["id"])
        if self._draining or len(self._open) >= _MAX_SOCKETS:
            raise UnavailableError(
                f"{len(self._open)} sockets are open, or the daemon is stopping: try again later"
            )
        connection = web.WebSocketResponse(
            protocols=_offered(request),
            max_msg_size=_MAX_FRAME_BYTES,
            heartbeat=self._beat_secs,
            compress=False,
        )
        if not connection.can_prepare(request):
            raise BadRequestError("This path is for WebSockets: ask for one with Upgrade: websocket")
        await connection.prepare(request)
        socket = _Socket(connection, request.app[AGENT], session.id, request[REQUEST_ID], admits)
        self._open.add(socket)
        try:
            await socket.talk(self._beat_secs)
        finally:
            self._open.discard(socket)
        return connection

    def drain(self) -> None:
        """Take no messages any more, and close each socket once it has told of its turns."""
        self._draining = True
        for socket in self._open:
            socket.drain()


class _Socket:
    """One open socket."""

    def __init__(
        self,
        connection: web.WebSocketResponse,
        agent: Agent,
        session_id: str,
        request_id: str,
        admits: Callable[[], bool],
    ) -> None:
        self._connection = connection
        self._agent = agent
        self._session_id = session_id
        self._request_id = request_id
        self._admits = admits
        self._tasks: set[asyncio.Task[None]] = set()
        """What tells of turns, and what closes the socket."""
        self._turns = 0
        self._draining = False

    async def talk(self, beat_secs: float) -> None:
        """Obey frames until the socket is closed."""
        self._start(self._watch(beat_secs))
        try:
            async for frame in self._connection:
                await self._take(frame)
        except (ConnectionError, TimeoutError):
            pass  # whoever was there has gone, or takes nothing
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    def drain(self) -> None:
        """Close the socket as soon as there is no turn to tell of."""
        self._draining = True
        if not self._turns:
            self._start(self._close(WSCloseCode.GOING_AWAY, "the daemon is stopping"))

    async def _take(self, frame: WSMessage) -> None:
        about: Mapping[str, str] = {}
        try:
            said = _decoded(frame)
            about = _ref_of(said)
            await self._obey(_shaped(said))
        except PrxError as error:
            await self._tell({"type": "error", **about, **_refusal(error)})

    async def _obey(self, asked: Frame) -> None:
        if not self._admits():
            await self._close(WSCloseCode.POLICY_VIOLATION, "the token is not valid any more")
        elif isinstance(asked, Ping):
            await self._tell({"type": "pong"})
        elif isinstance(asked, Cancellation):
            self._agent.cancel(self._session_id, asked.message_id)
        elif isinstance(asked, Decision):
            self._agent.approvals.decide(
                self._session_id, asked.id, approve=asked.approve, reason=asked.reason
            )
        else:
            pending = await self._agent.post(
                self._session_id, asked.content, key=asked.key, request_id=self._request_id
            )
            self._turns += 1
            self._start(self._follow(pending, asked.ref))

    async def _follow(self, pending: Pending, ref: str | None) -> None:
        """Tell of one turn to its end."""
        about = {"message_id": pending.message.id} | ({} if ref is None else {"ref": ref})
        told = 0
        try:
            while (events := await pending.feed.after(told)) is not None:
                told += len(events)
                for event in events:
                    await self._tell({"type": event.name, **about, **_shown(event)})
        except (ConnectionError, TimeoutError):
            await self._close(WSCloseCode.GOING_AWAY, "nobody reads")
        finally:
            self._turns -= 1
        if self._draining and not self._turns:
            await self._close(WSCloseCode.GOING_AWAY, "the daemon is stopping")

    async def _watch(self, beat_secs: float) -> None:
        while True:
            await asyncio.sleep(beat_secs)
            if not self._admits():
                await self._close(WSCloseCode.POLICY_VIOLATION, "the token is not valid any more")

    async def _tell(self, message: Any) -> None:
        async with asyncio.timeout(_STALLED_SECS):
            await self._connection.send_str(encoded(message).decode())

    async def _close(self, code: WSCloseCode, reason: str) -> None:
        await self._connection.close(code=code, message=reason.encode())

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def mount_sockets(app: web.Application, edge: Edge) -> None:
    """Add the path to `app`."""

    async def serve(request: web.Request) -> web.StreamResponse:
        edge.lift_deadline()
        return await request.app[SOCKETS].serve(request, edge.admission(request))

    handler = edge.guarded(serve, "sessions:write", socket=True)
    app.router.add_route(hdrs.METH_GET, PATH, handler, expect_handler=known_expectation)


def _offered(request: web.Request) -> tuple[str, ...]:
    """Return the protocols to choose from: a browser insists on one that it named, be it the one with its token."""
    named = [name.strip() for name in request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")]
    return (PROTOCOL, *(name for name in named if name.startswith(BEARER_PROTOCOL)))


def _decoded(frame: WSMessage) -> Any:
    try:
        return from_json(frame.data) if frame.type is WSMsgType.TEXT else None
    except ValueError as error:
        raise BadRequestError(f"The frame is not JSON: {error}") from error


def _ref_of(said: Any) -> Mapping[str, str]:
    """Return what its sender wants to know a frame by, be the rest of it as it may."""
    ref = said.get("ref") if isinstance(said, dict) else None
    return {"ref": ref} if isinstance(ref, str) and len(ref) <= _MAX_REF_CHARS else {}


def _shaped(said: Any) -> Frame:
    shape = _FRAMES.get(str(said.get("type"))) if isinstance(said, dict) else None
    if shape is None:
        raise BadRequestError(
            "A frame is the text of a JSON object whose type is message, cancel, approval or ping"
        )
    try:
        return shape.model_validate(said)
    except ValidationError as error:
        raise of_validation(error, "frame") from error


def _refusal(error: PrxError) -> dict[str, Any]:
    return {"error": {"code": error.code, "message": error.message}, "message": None}


def _shown(event: TurnEvent) -> dict[str, Any]:
    shown: dict[str, Any] = shown_event(event)
    return {"message": shown} if event.name == "done" else shown
