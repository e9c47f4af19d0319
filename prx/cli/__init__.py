"""The command line. A command's module is imported when it is called: the daemon never loads the others."""

import gc
import sys
from pathlib import Path

import click

from prx import __version__
from prx.cli.context import config_option
from prx.cli.exit_codes import ExitCode, exit_code_of
from prx.cli.lazy import LazyGroup
from prx.core.errors import PrxError
from prx.core.text import printable_lines

_COMMANDS = {
    "auth": "prx.cli.auth:auth",
    "chat": "prx.cli.chat:chat",
    "channel": "prx.cli.channel:channel",
    "config": "prx.cli.config:config",
    "daemon": "prx.cli.daemon:daemon",
    "doctor": "prx.cli.doctor:doctor",
    "hook": "prx.cli.hook:hook",
    "logs": "prx.cli.logs:logs",
    "mcp": "prx.cli.mcp:mcp",
    "plugin": "prx.cli.plugin:plugin",
    "secret": "prx.cli.secret:secret",
    "session": "prx.cli.session:session",
    "status": "prx.cli.status:status",
    "tools": "prx.cli.tools:tools",
}


@click.group(cls=LazyGroup, targets=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
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
        # What `--help` and `--version` end with; commands return nothing.
        sys.exit(prx(prog_name="prx", standalone_mode=False))
    except click.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except PrxError as error:
        click.echo(f"prx: {printable_lines(error.message)}", err=True)
        sys.exit(exit_code_of(error))
