"""`prx channel add`, `remove` and `doctor`: the tables of channels, and whether what they say can work."""

import asyncio
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from prx.channels.malformed import understood
from prx.channels.registry import ADAPTERS, missing_adapter
from prx.cli.client import daemon, segment
from prx.cli.config import configuration
from prx.cli.context import read_layers, running_daemon
from prx.cli.exit_codes import ExitCode
from prx.cli.output import as_json_option, show_json
from prx.config.channels import PLATFORMS, ChannelConfig
from prx.config.keys import dotted
from prx.config.layers import value_of
from prx.core.channel import Finding
from prx.core.errors import BadRequestError, ConflictError, NotFoundError, PrxError, UnavailableError
from prx.core.text import printable

_STDIN: Final = "-"
_DIAGNOSIS_SECS: Final = 30.0


@click.command()
@click.argument("name")
@click.argument("settings", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--type", "kind", help="Which platform; without, NAME says it.")
@as_json_option
def add(name: str, settings: tuple[str, ...], kind: str | None, *, as_json: bool) -> None:
    """Add a channel, in the overlay: prx.toml stays as it is. A running daemon connects it at once.

    A value is as for `prx config set`; "-" reads it from standard input, which keeps a secret out of sight.
    """
    if (kind or name) not in PLATFORMS and not _is_of_plugin(kind or name):
        known = ", ".join(sorted(PLATFORMS))
        raise BadRequestError(
            f'there is no platform "{kind or name}": --type says which of {known}, '
            "or names one that a plugin of the running daemon brings"
        )
    table: dict[str, Any] = {} if kind is None or kind == name else {"type": kind}
    table |= dict(_setting(name, each) for each in settings)
    with configuration() as found:
        if name in found.shown()["channels_config"]:
            raise ConflictError(f'there is a channel "{name}" already: change it with prx config set')
        outcome = found.patch({dotted(("channels_config", name)): table})
    if as_json:
        show_json(outcome)
    else:
        click.echo(
            f"{printable(name)} is added; prx channel doctor {printable(shlex.quote(name))} tells whether it can work."
        )


@click.command()
@click.argument("name")
@as_json_option
def remove(name: str, *, as_json: bool) -> None:
    """Take a channel out of the overlay; one that prx.toml has is switched off instead."""
    key = dotted(("channels_config", name))
    with configuration() as found:
        if name not in found.shown()["channels_config"]:
            raise NotFoundError(f'there is no channel "{name}"; prx channel list shows what there is')
        found.patch({key: None})
        places: set[str] = set()
        if is_left := name in found.shown()["channels_config"]:
            places = _places(key, found.origins())
            found.patch({f"{key}.enabled": False})
    if as_json:
        show_json({"name": name, "removed": not is_left})
    elif is_left:
        told = ", ".join(sorted(places)) or "prx.toml"
        click.echo(f"{printable(name)} is disabled: take its table out of {told} as well.")
    else:
        click.echo(f"{printable(name)} is removed.")


@click.command()
@click.argument("name")
@as_json_option
def doctor(name: str, *, as_json: bool) -> None:
    """Look at a channel's token, its platform and its permissions there, and say what to do.

    Works whether the daemon runs or not, and takes no messages. The variables that the channel's table names have to be
    set here, too. Exit code 1 when something is wrong.
    """
    # The secrets of other channels are none of its business.
    table = read_layers().only(("channels_config", name)).config().channels_config.get(name)
    if table is None:
        raise NotFoundError(f'there is no channel "{name}"; prx channel list shows what there is')
    is_of_plugin = _is_of_plugin(table.type or name)
    findings = _asked_of_daemon(name) if is_of_plugin else asyncio.run(_findings(name, table))
    is_well = all(finding.remedy is None for finding in findings)
    if as_json:
        show_json({"name": name, "healthy": is_well, "findings": [finding._asdict() for finding in findings]})
    else:
        for what, remedy in findings:
            click.echo(f"{'ok     ' if remedy is None else 'problem'}  {printable(what)}")
            if remedy is not None:
                click.echo(f"         {printable(remedy)}")
    if not is_well:
        sys.exit(ExitCode.FAILED)


def _places(key: str, origins: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return what sets the keys of a table: files, variables, flags."""
    found = {row["origin"] for where, row in origins.items() if where.startswith(f"{key}.")} - {"default"}
    return {re.sub(r":\d+$", "", origin) for origin in found}  # a file, whatever its lines


async def _findings(name: str, table: ChannelConfig) -> Sequence[Finding]:
    kind = table.type or name
    connect = ADAPTERS.get(kind)
    if connect is None:
        remedy = "correct its type, or start the daemon that has its plugin"
        return [Finding(missing_adapter(name, kind, ADAPTERS), remedy)]
    try:
        with understood(UnavailableError):
            async with asyncio.timeout(_DIAGNOSIS_SECS):
                found = [*await connect(name, table).diagnose()]
    except TimeoutError:
        found = [
            Finding(
                f"the platform did not answer within {_DIAGNOSIS_SECS:g} s", "look at network and address"
            )
        ]
    except PrxError as error:
        found = [Finding(error.message, "do what it says")]
    if not table.enabled:
        found.append(
            Finding(
                "the channel is disabled",
                f"prx config set {shlex.quote(dotted(('channels_config', name, 'enabled')))} true",
            )
        )
    return found


def _is_of_plugin(kind: str) -> bool:
    """Tell whether a daemon runs that has a plugin for channels of this type; PRX's own need none to be asked."""
    if kind in PLATFORMS or running_daemon() is None:
        return False
    with daemon() as client:
        plugins = client.get("/plugins")["plugins"]
    return any(f"channel:{kind}" in plugin["capabilities"] for plugin in plugins)


def _asked_of_daemon(name: str) -> Sequence[Finding]:
    """Have the daemon look at a channel whose plugin only it has."""
    with daemon() as client:
        health = client.get(f"/channels/{segment(name)}/health")
    if health["healthy"]:
        return [Finding("the plugin reaches the platform, which knows its token")]
    return [Finding(health["error"], "see the plugin's documentation, and prx logs")]


def _setting(name: str, text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise BadRequestError(f'"{text.partition("=")[0]}": write each setting as KEY=VALUE')
    if value == _STDIN:
        value = sys.stdin.read().removesuffix("\n")
    return key, value_of(("channels_config", name, key), value)
