"""Logs: recent lines, and lines as they come."""

from datetime import timedelta
from typing import Annotated, Final

from aiohttp import web
from pydantic import AfterValidator, Field, WithJsonSchema

from prx.api.answers.logs import DroppedEvent, LogAnswer, LogEntry
from prx.api.bodies import Flag, PageLimit, Parameters, WholeNumber
from prx.api.contract import Header
from prx.api.deps import LOG, STREAMS
from prx.api.log_stream import LogSource
from prx.api.routes import Routes
from prx.core.ids import iso_utc, now_utc
from prx.core.levels import LogLevel
from prx.core.moments import parse_moment
from prx.runtime.logs.archive import LogPage
from prx.runtime.logs.query import LogQuery

routes = Routes()

_STREAM: Final = {"log": LogEntry, "dropped": DroppedEvent}
_RESUME: Final = {
    "Last-Event-ID": Header("The `id` of the last line that is known: a stream goes on behind it.")
}
_MOMENT: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "pattern": "^[1-9][0-9]{0,4}[smhdw]$"},
        ]
    }
)
_DEFAULT_SINCE: Final = timedelta(hours=1)


class LogFilter(Parameters):
    """Which lines are asked for."""

    level: LogLevel = "info"
    """The least level."""
    module: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """A module, with everything below it."""
    since: Annotated[str, _MOMENT, AfterValidator(lambda text: iso_utc(parse_moment(text)))] | None = None
    """A time in ISO 8601, or how long ago: `90s`, `30m`, `1h`, `2d`."""
    limit: PageLimit = 100
    """How many lines at most: of a page, or from `since` on before the stream begins."""

    def query(self, default_since: timedelta | None = None) -> LogQuery:
        """Return the filter; `default_since` counts where no time is given."""
        since = self.since or ("" if default_since is None else iso_utc(now_utc() - default_since))
        return LogQuery(level=self.level, module=self.module, since=since.encode())


class LogParameters(LogFilter):
    """What `GET /logs` may be asked."""

    offset: WholeNumber = 0
    """How many of the newest lines to leave out."""
    stream: Flag = False
    """Answer with a stream."""


@routes.get(
    "/logs",
    scope="logs:read",
    query=LogParameters,
    answer=LogAnswer,
    streams=_STREAM,
    headers=_RESUME,
    refuses=(503,),
)
async def list_logs(request: web.Request, asked: LogParameters) -> web.StreamResponse:
    """Lines that match, newest last; with `stream=true` the stream of them."""
    if asked.stream:
        return await _stream(request, asked)
    page = await request.app[LOG].book.search(
        asked.query(_DEFAULT_SINCE), limit=asked.limit, offset=asked.offset
    )
    return web.Response(body=_body(page), content_type="application/json")


@routes.get(
    "/logs/stream", scope="logs:read", query=LogFilter, streams=_STREAM, headers=_RESUME, refuses=(503,)
)
async def stream_logs(request: web.Request, asked: LogFilter) -> web.StreamResponse:
    """Lines as they come, as Server-Sent Events."""
    return await _stream(request, asked)


async def _stream(request: web.Request, asked: LogFilter) -> web.StreamResponse:
    known = request.headers.get("Last-Event-ID", "")
    source = LogSource(
        request.app[LOG],
        asked.query(),
        # What is no number of a line was not sent by this daemon.
        resume=int(known) if known.isascii() and known.isdecimal() and len(known) <= 18 else None,  # noqa: PLR2004
        earlier=0 if asked.since is None else asked.limit,
    )
    return await request.app[STREAMS].send(request, source)


def _body(page: LogPage) -> bytes:
    # Lines are JSON already.
    return b'{"entries": [%b], "total": %d}' % (b", ".join(line.body for line in page.lines), page.total)
