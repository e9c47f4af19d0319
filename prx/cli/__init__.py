"""The command line. A command's module is imported when it is called: the daemon never loads the others."""

import gc
import importlib
import sys
from pathlib import Path

import click

from prx import __version__
from prx.cli.context import config_option
from prx.core.errors import ConfigError, PrxError

_BAD_CONFIGURATION = 2

_COMMANDS = {
    "auth": "prx.cli.auth:auth",
    "config": "prx.cli.config:config",
    "daemon": "prx.cli.daemon:daemon",
    "logs": "prx.cli.logs:logs",
    "plugin": "prx.cli.plugin:plugin",
    "secret": "prx.cli.secret:secret",
}


class _Commands(click.Group):
    """Finds a command by its name in `_COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101  # tells the type; the test of the table holds it
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="prx")
@config_option
@click.pass_context
def prx(context: click.Context, config_path: Path | None) -> None:
    """Host WebAssembly plugins for AI agents."""
    context.obj = config_path


def main() -> None:
    """Run the command line and end the process; a refusal is one message on stderr and no traceback."""
    # Imports leave no garbage, yet looking for it takes a tenth of the start. The daemon switches it on again.
    gc.disable()
    try:
        prx(prog_name="prx")
    except PrxError as error:
        click.echo(f"prx: {error.message}", err=True)
        sys.exit(_BAD_CONFIGURATION if isinstance(error, ConfigError) else 1)
