"""Cron expressions: when a job is due."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from prx.core.errors import BadRequestError

_MAX_CHARS = 128
_MIN_FIELDS, _MAX_FIELDS = 5, 6


class Schedule:
    """A cron expression of 5 fields, or 6 with the seconds first, in a time zone.

    Around a change to or from summer time an expression of 5 fields that names its hour does what Debian's cron does:
    it runs once that day, also where its hour does not exist or exists twice.
    """

    def __init__(self, expression: str, timezone: str = "UTC") -> None:
        """Parse `expression`.

        Raises:
            BadRequestError: it is no cron expression, is never due, or there is no such time zone.
        """
        self.expression = expression
        self.timezone = timezone
        self._zone = _zone(timezone)
        self._parse: Callable[[datetime], CronSim] = lambda moment: CronSim(expression, moment)
        if len(expression) > _MAX_CHARS or not _MIN_FIELDS <= len(expression.split()) <= _MAX_FIELDS:
            raise _unfit(expression, "it has 5 fields, or 6 with the seconds first")
        try:
            self.next_after(datetime.now(UTC))
        except CronSimError as error:
            raise _unfit(expression, str(error)) from error
        except StopIteration:
            raise _unfit(expression, "no day ever fits it") from None

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after `moment` that fits, in UTC."""
        return next(self._parse(moment.astimezone(self._zone))).astimezone(UTC)


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # the last for a name that is a directory
        raise BadRequestError(
            f'"{name[:64]}" is no time zone: use a name of the IANA database such as "Europe/Berlin"'
        ) from error


def _unfit(expression: str, why: str) -> BadRequestError:
    return BadRequestError(
        f'"{expression[:_MAX_CHARS]}" is no cron expression: {why} (for example "*/5 * * * *": every five minutes)'
    )
