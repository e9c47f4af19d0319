"""The process of the daemon: from the command line to the exit code."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import NoReturn

from prx.config.live import LiveConfig
from prx.config.sources import Sources
from prx.core.errors import PrxError
from prx.daemon.options import Options
from prx.daemon.run import Daemon
from prx.daemon.secrets import secrets_of
from prx.runtime.allocator import keep_little_freed_memory
from prx.runtime.log_values import redaction
from prx.runtime.logging import LogOutput, get_logger
from prx.runtime.logs.book import LogBook
from prx.runtime.logs.files import LOG_DIRECTORY
from prx.runtime.process import ExitCode, data_dir_lock, exit_code_of, open_standard_descriptors, pid_file

_log = get_logger("daemon")


def main(options: Options) -> NoReturn:
    """Run the daemon and end the process with an `ExitCode`."""
    # What was imported stays: the collector need not look at it again.
    gc.freeze()
    gc.enable()
    keep_little_freed_memory()
    open_standard_descriptors()
    try:
        live = LiveConfig(Sources(options.config, options.flags))
        with ExitStack() as held:
            held.enter_context(data_dir_lock(live.current.daemon.data_dir))
            if options.pid_file is not None:
                held.enter_context(pid_file(options.pid_file.absolute()))
            code = _run(options, live)
    except PrxError as error:
        print(f"prx: {error.message}", file=sys.stderr, flush=True)  # noqa: T201  # there is no log yet
        code = exit_code_of(error)
    # Not sys.exit: that would wait for threads, and a guest may hang in native code on one for ever.
    os._exit(code)


def _run(options: Options, live: LiveConfig) -> ExitCode:
    """Run with a log from the start to the end of the daemon."""
    settings = live.current.daemon
    redaction.hide(secrets_of(live.current))
    book = LogBook(
        settings.data_dir / LOG_DIRECTORY,
        max_file_bytes=settings.log_file_mb << 20,
        max_files=settings.log_files,
    )
    output = LogOutput(settings.log_level, settings.log_format, keep=book.put)

    def close_log() -> None:
        output.close()
        book.close()

    sys.excepthook = partial(_crashed, close_log)
    loop = _new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        code = loop.run_until_complete(Daemon(options, live, output, book).run())
    except PrxError as error:
        _log.error("the daemon cannot run", reason=error.message, code=error.code)
        code = exit_code_of(error)
    close_log()
    return code


def _new_event_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415  # absent on some platforms
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _crashed(
    close_log: Callable[[], None],
    _kind: type[BaseException],
    error: BaseException,
    _trace: TracebackType | None,
) -> NoReturn:
    _log.error("the daemon crashed", exc_info=error)
    close_log()
    os._exit(ExitCode.CRASHED)
