"""The log: one line per event, with timestamp, level, module (`a::b`), message and context, on stderr and in the book.

Modules take a logger with `get_logger("plugins::catalogue")` when they are imported; the daemon configures
the log once, later. Until then warnings and errors go to stderr as they come, as the other commands want it.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, Literal

from structlog.contextvars import get_contextvars
from structlog.processors import ExceptionRenderer

from prx.core.ids import iso_utc, now_utc
from prx.core.levels import RANKS, LogLevel
from prx.core.metric import Metric, counter
from prx.runtime.log_format import Event, Render, json_lines, readable_lines
from prx.runtime.log_values import plain
from prx.runtime.log_writer import DescriptorLines, LogWriter

LogFormat = Literal["auto", "pretty", "json"]
Put = Callable[[bytes], None]
Keep = Callable[[tuple[LogLevel, str], str, bytes], None]
"""Takes what a line is found by, level and module, then its time, and the line as a JSON object."""

_TRACE, _DEBUG, _INFO, _WARN, _ERROR = RANKS.values()
# `seq` is the number of a line on disk.
_TAKEN_KEYS: Final = frozenset({"timestamp", "level", "module", "message", "seq"})
_MAX_LINE_BYTES: Final = 128 * 1024
_with_exception = ExceptionRenderer()
_as_json = json_lines()


def _to_stderr(line: bytes) -> None:
    sys.stderr.write(line.decode())


class _Pipeline:
    """Where every line goes; one for the process, as stdlib logging's root is."""

    __slots__ = ("keep", "put", "rank", "render")

    rank: int
    render: Render | None
    """How lines look on the console; None is as JSON."""
    put: Put
    """Writes to the console."""
    keep: Keep | None

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.rank = _WARN
        self.render = readable_lines(colours=False)
        self.put = _to_stderr
        self.keep = None


_pipeline = _Pipeline()


class Logger:
    """Logs for one module. A line below the level costs one comparison."""

    __slots__ = ("_context", "_module")

    def __init__(self, module: str, context: dict[str, object]) -> None:
        """Use `get_logger`, or `bind` of another logger."""
        self._module = module
        self._context = context

    def bind(self, **context: object) -> "Logger":
        """Return a logger that adds `context` to each of its lines."""
        return Logger(self._module, {**self._context, **context})

    def trace(self, message: str, **context: object) -> None:
        """Log what only a developer who follows one call wants."""
        if _pipeline.rank <= _TRACE:
            _emit("trace", self._module, message, {**self._context, **context})

    def debug(self, message: str, **context: object) -> None:
        """Log a step on the way."""
        if _pipeline.rank <= _DEBUG:
            _emit("debug", self._module, message, {**self._context, **context})

    def info(self, message: str, **context: object) -> None:
        """Log what an operator may want to know."""
        if _pipeline.rank <= _INFO:
            _emit("info", self._module, message, {**self._context, **context})

    def warning(self, message: str, **context: object) -> None:
        """Log what an operator should look at some time."""
        if _pipeline.rank <= _WARN:
            _emit("warn", self._module, message, {**self._context, **context})

    def error(self, message: str, **context: object) -> None:
        """Log what failed; `exc_info=True` or an exception adds its traceback."""
        if _pipeline.rank <= _ERROR:
            _emit("error", self._module, message, {**self._context, **context})

    def exception(self, message: str, **context: object) -> None:
        """Log what failed, with the traceback of the exception that is being handled."""
        self.error(message, exc_info=True, **context)


def get_logger(module: str) -> Logger:
    """Return the logger of `module`, such as `plugins::catalogue`. Needs no configured log."""
    return Logger(module, {})


def set_level(level: LogLevel) -> None:
    """Change the least level that is logged, at once and for every logger."""
    _pipeline.rank = RANKS[level]
    logging.getLogger().setLevel(RANKS[level])


def quieten(*libraries: str) -> None:
    """Have libraries log warnings and errors alone, at every level of the log.

    For those that log each request at the level info, and at debug whole messages, headers and the ids of sessions.
    """
    for name in libraries:
        logging.getLogger(name).setLevel(logging.WARNING)


class LogOutput:
    """The configured log; `close` flushes it and gives stdlib logging back."""

    def __init__(
        self, level: LogLevel, style: LogFormat, descriptor: int = 2, keep: Keep | None = None
    ) -> None:
        """Send every line to `descriptor` and `keep`, stdlib logging, warnings and failed threads included.

        Args:
            level: least level that is logged.
            style: "auto" is pretty on a terminal, else json; colours only on a terminal.
            descriptor: where to write; stays open.
            keep: takes every line as well, from any thread; must not block.
        """
        terminal = os.isatty(descriptor)
        pretty = style == "pretty" or (style == "auto" and terminal)
        colours = terminal and not os.environ.get("NO_COLOR")
        _pipeline.render = readable_lines(colours=colours) if pretty else None
        self._writer = LogWriter("prx-log", DescriptorLines(descriptor, _dropped_line).write)
        _pipeline.put = self._writer.put
        _pipeline.keep = keep
        self._bridge = _StdlibBridge()
        logging.getLogger().addHandler(self._bridge)
        logging.captureWarnings(capture=True)
        self._thread_hook = threading.excepthook
        threading.excepthook = _log_failed_thread
        set_level(level)

    def metrics(self) -> list[Metric]:
        """Return how many lines were lost; see `prx.core.metric.MetricSource`."""
        about = "Log lines that stderr did not take"
        return [counter("prx_log_console_lines_lost", about, self._writer.lost)]

    def close(self, timeout_secs: float = 2.0) -> None:
        """Write what is queued, for at most `timeout_secs`. Blocks."""
        threading.excepthook = self._thread_hook
        logging.captureWarnings(capture=False)
        logging.getLogger().removeHandler(self._bridge)
        logging.getLogger().setLevel(logging.WARNING)
        self._writer.close(timeout_secs)
        _pipeline.reset()


def _emit(level: LogLevel, module: str, message: str, context: dict[str, Any]) -> None:
    event = _event(level, module, message, context)
    body = b""
    if _pipeline.render is None or _pipeline.keep is not None:
        body = _bounded(event)
    if _pipeline.keep is not None:
        _pipeline.keep((level, event["module"]), event["timestamp"], body)
    _pipeline.put(_console_line(event, body))


def _event(level: LogLevel, module: str, message: str, context: dict[str, Any]) -> Event:
    context = {**get_contextvars(), **context}
    if "exc_info" in context:
        context = dict(_with_exception(None, level, context))
    own = {"timestamp": iso_utc(now_utc()), "level": level, "module": module, "message": message}
    return own | plain(
        {"message": message}
        | {f"{key}_" if key in _TAKEN_KEYS else key: value for key, value in context.items()}
    )


def _bounded(event: Event) -> bytes:
    """Return the event as JSON; without its context where that is too long."""
    body = _as_json(event).encode()
    if len(body) <= _MAX_LINE_BYTES:
        return body
    own = {key: event[key] for key in ("timestamp", "level", "module", "message")}
    return _as_json(own | {"context": f"left out: the line had {len(body)} bytes"}).encode()


def _console_line(event: Event, body: bytes) -> bytes:
    if _pipeline.render is None:
        return body + b"\n"
    # A lone surrogate, as in a file name that is not UTF-8, must not cost the line.
    return f"{_pipeline.render(event)}\n".encode(errors="backslashreplace")


def _dropped_line(count: int) -> bytes:
    event = _event(
        "warn", "log", "log lines were dropped: stderr is not read fast enough", {"dropped": count}
    )
    return _console_line(event, _bounded(event))


class _StdlibBridge(logging.Handler):
    """Turns records of stdlib logging, those of libraries, into lines of this log."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage().strip()
        except (TypeError, ValueError, KeyError):
            # The library's own mistake: its template still tells what happened.
            message = str(record.msg)
        context = {} if record.exc_info is None else {"exc_info": record.exc_info}
        _emit(_level_of(record.levelno), _module_of(record.name), message, context)


def _level_of(rank: int) -> LogLevel:
    return next((level for level, least in reversed(RANKS.items()) if rank >= least), "trace")


def _module_of(name: str) -> str:
    library, *rest = name.split(".")
    first = {"aiohttp": "http", "py": "python"}.get(library, library)
    return "::".join([first, *rest])


def _log_failed_thread(failure: threading.ExceptHookArgs) -> None:
    name = failure.thread.name if failure.thread else "unknown"
    _emit("error", "thread", "a thread failed", {"thread": name, "exc_info": failure.exc_value})
