"""`prx status`: how the daemon is, and what to do about what is wrong."""

import sys
from typing import Any

import click

from prx.cli.client import daemon
from prx.cli.exit_codes import ExitCode
from prx.cli.output import as_json_option, duration, fields, moment, show_json, size, styled_status


@click.command()
@as_json_option
def status(*, as_json: bool) -> None:
    """Show how the daemon is, and what to do about what is wrong.

    Exit code 0 when it is healthy, 1 when it is degraded, 5 when none runs.
    """
    with daemon() as client:
        found = client.get("/status")
        url = client.url
    if as_json:
        show_json(found)
    else:
        click.echo(_text(found, url))
    sys.exit(ExitCode.FAILED if found["problems"] else ExitCode.DONE)


def _text(found: dict[str, Any], url: str) -> str:
    config = found["config"]
    restart = "; a changed key waits for a restart" if config["restart_required"] else ""
    lines = [
        f"PRX {found['version']} is {styled_status(found['status'])}.",
        fields(
            [
                ("Address", url),
                ("Up", duration(found["uptime_secs"])),
                ("Plugins", f"{found['plugins']['loaded']} of {found['plugins']['total']} loaded"),
                ("Channels", f"{found['channels']['connected']} of {found['channels']['total']} connected"),
                ("Sessions", f"{found['active_sessions']} active"),
                ("Memory", f"{found['memory']['entries']} entries in {found['memory']['backend']}"),
                ("Provider", f"{found['provider']['name']}, model {found['provider']['model']}"),
                ("Configuration", f"version {config['version']}{restart}"),
                ("Process", f"{size(found['memory_rss_bytes'])} resident"),
                ("Event loop", f"{found['loop_lag_ms']:.1f} ms late"),
            ]
        ),
    ]
    for problem in found["problems"]:
        told = [
            ("Problem", problem["unit"]),
            ("Why", problem["reason"]),
            ("Since", moment(problem["since"])),
            ("Do", problem["action"]),
        ]
        lines += ["", fields(told)]
    return "\n".join(lines)
