"""`prx plugin pack`: a plugin as one file. Needs no daemon."""

import json
from pathlib import Path

import click

from prx.plugins.packing import pack as make_package


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it, instead of NAME-VERSION.prxplugin here.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def pack(directory: Path, output: Path | None, *, as_json: bool) -> None:
    """Make a package of a directory with a plugin.toml.

    The same files make the same package, byte for byte. In it are the manifest, the component, README, LICENSE,
    CHANGELOG, skills/ and plugin.sig where they are there, and checksums of them.
    """
    made = make_package(directory, output)
    if as_json:
        shown = {"path": str(made.path), "files": made.names, "left_out": made.left_out}
        click.echo(json.dumps(shown, indent=2))
        return
    click.echo(f"Made {made.path} of {', '.join(made.names)}.")
    if made.left_out:
        click.echo(f"Left out: {', '.join(made.left_out)}.")
