"""How commands end, for scripts. `prx daemon` and `prx plugin verify` have codes of their own beside these."""

from enum import IntEnum

from prx.core.errors import ConfigError, PrxError


class DaemonDownError(PrxError):
    """There is no daemon to ask."""

    code = "daemon_down"


class ExitCode(IntEnum):
    """What a command tells whoever called it; click ends with 2 by itself where it was typed wrong."""

    DONE = 0
    FAILED = 1
    """Refused, failed, or something is wrong."""
    BAD_CONFIGURATION = 2
    NO_DAEMON = 5
    INTERRUPTED = 130
    """As shells say it of a program that Ctrl-C ended."""


def exit_code_of(error: PrxError) -> ExitCode:
    """Return the code that a command ends with because of `error`."""
    match error:
        case ConfigError():
            return ExitCode.BAD_CONFIGURATION
        case DaemonDownError():
            return ExitCode.NO_DAEMON
        case _:
            return ExitCode.FAILED
