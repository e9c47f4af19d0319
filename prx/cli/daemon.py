"""`prx daemon`."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click

from prx.cli.context import chosen_file, config_option
from prx.config.layers import setting
from prx.config.toml import Layer
from prx.core.levels import LogLevel
from prx.daemon.options import Options
from prx.daemon.process import main


@click.command()
@config_option
@click.option("--host", help="Address to listen on (gateway.host).")
@click.option("--port", type=int, help="Port to listen on (gateway.port).")
@click.option(
    "--log-level", type=click.Choice(get_args(LogLevel)), help="Least level logged (daemon.log_level)."
)
@click.option("--no-gateway", is_flag=True, help="Open no HTTP port.")
@click.option("--no-channels", is_flag=True, help="Connect to no messaging channel.")
@click.option("--no-cron", is_flag=True, help="Run no scheduled job.")
@click.option(
    "--pid-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that holds the process id while the daemon runs.",
)
def daemon(  # one argument for each flag
    *,
    config_path: Path | None,
    host: str | None,
    port: int | None,
    log_level: str | None,
    no_gateway: bool,
    no_channels: bool,
    no_cron: bool,
    pid_file: Path | None,
) -> None:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP reloads the configuration.

    Exit codes: 0 stopped, 1 crashed, 2 bad configuration, 3 already running, 4 address in use.
    """
    main(
        Options(
            config=chosen_file(config_path),
            flags=_flags(host, port, log_level),
            gateway=not no_gateway,
            channels=not no_channels,
            cron=not no_cron,
            pid_file=pid_file,
        )
    )


def _flags(host: str | None, port: int | None, log_level: str | None) -> Sequence[Layer]:
    given = (
        ("--host", "gateway.host", host),
        ("--port", "gateway.port", port),
        ("--log-level", "daemon.log_level", log_level),
    )
    return [setting(flag, key, value) for flag, key, value in given if value is not None]
