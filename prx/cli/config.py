"""`prx config`: look at the configuration and change it, through the daemon where one runs, else on its files."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Protocol

import click
import tomli_w

from prx.cli.client import Client, daemon
from prx.cli.context import chosen_file, running_daemon
from prx.cli.exit_codes import ExitCode
from prx.cli.output import as_json_option, show_json
from prx.config.faults import unknown
from prx.config.inspection import json_schema
from prx.config.keys import Tree, at, holds, parse_key
from prx.config.layers import value_of
from prx.config.origins import origins
from prx.config.overlay import Overlay
from prx.config.patch import patch
from prx.config.redaction import shown
from prx.config.sources import Sources
from prx.core.errors import BadRequestError, ConfigError, NotFoundError

_STDIN: Final = "-"


class Configuration(Protocol):
    """The configuration, wherever it is asked and changed."""

    def shown(self) -> Tree:
        """Return what is in effect, secrets masked."""

    def origins(self) -> dict[str, dict[str, Any]]:
        """Return each key with its value and where that comes from."""

    def patch(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change keys, all or none; return what became of each."""


class _OfDaemon:
    """See `Configuration`: that of a running daemon, which knows its own flags and environment."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def shown(self) -> Tree:
        tree: Tree = self._client.get("/config")
        return tree

    def origins(self) -> dict[str, dict[str, Any]]:
        keys: dict[str, dict[str, Any]] = self._client.get("/config/origins")["keys"]
        return keys

    def patch(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        outcome: dict[str, Any] = self._client.request("PATCH", "/config", dict(changes))
        return outcome


class _OfFiles:
    """See `Configuration`: what a daemon started here would run with."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def shown(self) -> Tree:
        return shown(self._sources.load().config)

    def origins(self) -> dict[str, dict[str, Any]]:
        loaded = self._sources.load()
        return origins(loaded.layers, loaded.config, loaded.config)

    def patch(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        return asdict(patch(self._sources, changes).outcome)


@click.group()
def config() -> None:
    """Look at the configuration and change it, whether the daemon runs or not."""


@config.command()
@click.option("--origin", is_flag=True, help="Each key with the layer that its value comes from.")
@as_json_option
def show(*, origin: bool, as_json: bool) -> None:
    """Show the configuration in effect, as TOML; secrets are masked."""
    with configuration() as found:
        tree = found.origins() if origin else found.shown()
    if as_json:
        show_json(tree)
    elif origin:
        click.echo("\n".join(_row(key, about) for key, about in tree.items()))
    else:
        click.echo(tomli_w.dumps(_without_unset(tree)), nl=False)


@config.command("get")
@click.argument("key")
@as_json_option
def get_key(key: str, *, as_json: bool) -> None:
    """Print the value of a key: text as it is, anything else as JSON."""
    parts = _parsed(key)
    with configuration() as found:
        tree = found.shown()
    if not holds(tree, parts):
        raise NotFoundError(f"{key}: {unknown(parts)}")
    value = at(tree, parts)
    click.echo(value if isinstance(value, str) and not as_json else json.dumps(value, indent=2))


@config.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("key")
@click.argument("value")
@as_json_option
def set_key(key: str, value: str, *, as_json: bool) -> None:
    """Change a key, in the overlay: prx.toml stays as it is.

    VALUE is text where the key takes text, otherwise as in TOML: 5, true, ["a", "b"]. "-" reads it from standard input,
    which keeps a secret out of sight of the machine's other users.
    """
    text = sys.stdin.read().removesuffix("\n") if value == _STDIN else value
    _change({key: value_of(_parsed(key), text)}, "is set", as_json=as_json)


@config.command()
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@as_json_option
def unset(keys: tuple[str, ...], *, as_json: bool) -> None:
    """Take keys back out of the overlay: prx.toml or the default counts again."""
    _change(dict.fromkeys(keys), "is out of the overlay", as_json=as_json)


@config.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@as_json_option
def validate(file: Path | None, *, as_json: bool) -> None:
    """Check FILE, or else what a daemon started here would read, with everything that is laid over it.

    Exit code 2 when something is wrong. No daemon needs to run, and none is asked.
    """
    sources = Sources(file or chosen_file())
    try:
        loaded = sources.load()
    except ConfigError as error:
        if not as_json:
            raise
        errors = (error.details or {}).get("errors", [])
        show_json({"valid": False, "error": error.message, "errors": errors})
        sys.exit(ExitCode.BAD_CONFIGURATION)
    rows = origins(loaded.layers, loaded.config, loaded.config)
    hidden = {place: [key, row["origin"]] for key, row in rows.items() for place in row.get("hides", [])}
    if as_json:
        show_json({"valid": True, "hidden": hidden})
        return
    for place, (key, by) in hidden.items():
        click.echo(f"{place}: {key} has no effect: {by} sets it, too")
    click.echo(f"{sources.find_file() or 'The configuration without a file'} is valid.")


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors and programs."""
    show_json(json_schema())


@config.command()
@as_json_option
def path(*, as_json: bool) -> None:
    """Show which files make up the configuration, the strongest last."""
    sources = Sources(chosen_file())
    files = [str(file) for file in sources.files()]
    overlay = Overlay(sources.salvage().overlay_dir).path
    if as_json:
        show_json({"files": files, "overlay": str(overlay)})
        return
    click.echo("\n".join(files or ["no prx.toml"]))
    click.echo(f"{overlay} (overlay{'' if overlay.exists() else ', not there yet'})")


@contextmanager
def configuration() -> Iterator[Configuration]:
    """Give the configuration of the daemon that runs, else of its files."""
    if running_daemon() is None:
        yield _OfFiles(Sources(chosen_file()))
    else:
        with daemon() as client:
            yield _OfDaemon(client)


def _change(changes: Mapping[str, Any], done: str, *, as_json: bool) -> None:
    with configuration() as found:
        outcome = found.patch(changes)
    if as_json:
        show_json(outcome)
        return
    for key in changes:
        result = outcome["results"].get(key)
        if result is None:
            click.echo(f"{key} is left alone: that is the mask of its value.")
        elif result == "hidden":
            click.echo(f"{key} {done}, which has no effect: {outcome['hidden'][key]} sets it, too.")
        elif result == "restart_required":
            click.echo(f"{key} {done}; it counts from the daemon's next start.")
        else:
            click.echo(f"{key} {done}.")


def _parsed(key: str) -> tuple[str, ...]:
    try:
        return parse_key(key)
    except ValueError as error:
        raise BadRequestError(f"{key}: {error}") from error


def _row(key: str, about: Mapping[str, Any]) -> str:
    line = f"{key} = {json.dumps(about['value'])}  # {about['origin']}"
    if "hides" in about:
        line += f"; hides {', '.join(about['hides'])}"
    if "after_restart" in about:
        line += f"; {json.dumps(about['after_restart'])} after a restart"
    return line


def _without_unset(tree: Tree) -> Tree:
    """Return `tree` without null, which TOML does not have."""
    return {
        key: _without_unset(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if value is not None
    }
