"""`prx plugin call`: call a tool, of a plugin or of whoever else brings one."""

import json
import os
import sys
from typing import Any, Final

import click

from prx.cli.client import Client, daemon, segment
from prx.cli.exit_codes import ExitCode
from prx.cli.output import as_json_option, show_json
from prx.core.text import printable, printable_lines

_STDIN: Final = "-"


class Arguments(click.ParamType[dict[str, Any]]):
    """A JSON object, or `-` for one on standard input."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Return the object that `value` spells."""
        try:
            found = json.loads(sys.stdin.buffer.read() if value == _STDIN else os.fsencode(value))
        except (ValueError, RecursionError) as error:
            self.fail(f"not JSON: {error}", param, ctx)
        if not isinstance(found, dict):
            self.fail('not a JSON object, such as {"city": "Bern"}', param, ctx)
        return found


@click.command()
@click.argument("tool")
@click.argument("arguments", metavar="[JSON]", type=Arguments(), default="{}")
@as_json_option
def call(tool: str, arguments: dict[str, Any], *, as_json: bool) -> None:
    """Call a tool by its name, as `prx tools` lists it, and print its output.

    JSON is the object of its arguments; "-" reads it from standard input. Text is printed as it is, anything else as
    JSON; with --json the whole answer, receipt included. Exit code 1 when the tool failed or was not run.
    """
    with daemon() as client:
        show_call(client, tool, arguments, as_json=as_json)


def show_call(client: Client, tool: str, arguments: dict[str, Any], *, as_json: bool) -> None:
    """Call a tool and print what it gave back; ends the process with exit code 1 where it failed."""
    found = client.request("POST", f"/tools/{segment(tool)}/call", {"arguments": arguments})
    if as_json:
        show_json(found)
    else:
        if found["output"] is not None:
            click.echo(_shown(found["output"]))
        if (error := found["error"]) is not None:
            click.echo(f"prx: {tool} failed ({error['code']}): {printable(error['message'])}", err=True)
    if not found["success"]:
        sys.exit(ExitCode.FAILED)


def _shown(output: Any) -> str:
    if not isinstance(output, str):
        return json.dumps(output, indent=2)
    # A plugin may have been told by anybody what a terminal would obey.
    return printable_lines(output) if sys.stdout.isatty() else output
