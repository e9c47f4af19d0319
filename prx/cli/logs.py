"""`prx logs`: what the daemon logged, from the daemon, or from its files where none runs."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args
from urllib.parse import urlencode

import click

from prx.cli.client import daemon
from prx.cli.context import bare_config, load_config, running_daemon, salvaged_layers
from prx.cli.output import has_colours
from prx.config.schema import DaemonConfig
from prx.core.errors import ConfigError, PrxError
from prx.core.ids import iso_utc
from prx.core.levels import LogLevel
from prx.core.moments import parse_moment
from prx.core.text import printable_lines
from prx.runtime.log_format import readable_lines
from prx.runtime.logs.archive import LogArchive
from prx.runtime.logs.files import LOG_DIRECTORY
from prx.runtime.logs.query import LogQuery

_MAX_LINES: Final = 500
Entry = dict[str, Any]


class Since(click.ParamType[str]):
    """A moment, as the API takes it."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the moment that `value` names in ISO 8601."""
        try:
            return iso_utc(parse_moment(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with lines as they come.")
@click.option("--level", type=click.Choice(get_args(LogLevel)), default="info", show_default=True)
@click.option("--module", help="Only this module and what is below it, such as plugins or plugin::weather.")
@click.option(
    "--since",
    type=Since(),
    default="1h",
    show_default=True,
    help="A time in ISO 8601, or how long ago: 90s, 30m, 1h, 2d.",
)
@click.option(
    "--limit", type=click.IntRange(1, _MAX_LINES), default=100, show_default=True, help="How many lines."
)
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object for each line.")
def logs(*, follow: bool, level: LogLevel, module: str | None, since: str, limit: int, as_json: bool) -> None:
    """Show the newest lines that the daemon logged, newest last.

    Where no daemon runs, its files are read.
    """
    show = json.dumps if as_json else readable_lines(colours=has_colours())
    runs = running_daemon() is not None
    asked = {"level": level, "since": since, "limit": str(limit)} | (
        {} if module is None else {"module": module}
    )
    if not (follow and runs):
        query = LogQuery(level=level, module=module, since=since.encode())
        for entry in _asked(asked) if runs else _on_disk(query, limit):
            click.echo(show(entry))
    if follow:
        _follow(asked, show)


def _asked(asked: Mapping[str, str]) -> list[Entry]:
    with daemon() as client:
        entries: list[Entry] = client.get(f"/logs?{urlencode(asked)}")["entries"]
        return entries


def _on_disk(query: LogQuery, limit: int) -> list[Entry]:
    config = _configured()
    archive = LogArchive(config.data_dir / LOG_DIRECTORY, config.log_file_mb * config.log_files << 20)
    try:
        return [json.loads(line.body) for line in archive.search(query, limit=limit).lines]
    except OSError as error:
        raise PrxError(f"the log in {config.data_dir} cannot be read: {error.strerror}") from error


def _configured() -> DaemonConfig:
    try:
        return load_config().daemon
    except ConfigError as error:
        # The log is what tells since when it is wrong.
        config = bare_config(salvaged_layers()).daemon
        click.echo(f"prx: {printable_lines(error.message)}", err=True)
        click.echo(f"prx: this is the log in {config.data_dir} all the same", err=True)
        return config


def _follow(asked: Mapping[str, str], show: Callable[[Entry], str]) -> None:
    """Show lines as they come, over the end of a token's life, as long as a daemon runs.

    Raises:
        DaemonDownError: none does.
    """
    last_id: str | None = None
    while True:
        with daemon() as client, client.events(f"/logs/stream?{urlencode(asked)}", last_id) as events:
            for event in events:
                last_id = event.id or last_id
                if event.name == "dropped":
                    click.echo(f"prx: too slow for {event.data['dropped']} lines", err=True)
                else:
                    click.echo(show(event.data))
