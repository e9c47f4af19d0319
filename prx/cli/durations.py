"""Spans of time as options."""

from datetime import timedelta
from typing import Any

import click

from prx.core.durations import parse_duration


class Duration(click.ParamType[timedelta]):
    """A time span such as `90s`, `30m`, `12h`, `30d` or `4w`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return the span that `value` spells."""
        span = parse_duration(value)
        if span is None:
            self.fail(f'"{value}" is not a duration; write 90s, 30m, 12h, 30d or 4w', param, ctx)
        return span
