"""`prx plugin pack`, `keygen`, `sign` and `verify`: a plugin on its way to its users. None of them needs a daemon."""

import sys
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from prx.cli.context import load_config
from prx.cli.output import as_json_option, show_json
from prx.config.types import PublicKey
from prx.core.errors import PrxError
from prx.core.text import printable_lines
from prx.plugins import signer
from prx.plugins.errors import LoadError
from prx.plugins.packing import pack as make_package
from prx.plugins.signing import Signature
from prx.plugins.signing import verify as verify_signature
from prx.plugins.sources import Source, read, source_at

_REFUSED, _UNSIGNED, _UNTRUSTED = 1, 3, 4
_PLUGIN = click.Path(exists=True, path_type=Path)


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it, instead of NAME-VERSION.prxplugin here.",
)
@as_json_option
def pack(directory: Path, output: Path | None, *, as_json: bool) -> None:
    """Make a package of a directory with a plugin.toml.

    The same files make the same package, byte for byte. In it are the manifest, the component, README, LICENSE,
    CHANGELOG, skills/ and plugin.sig where they are there, and checksums of them.
    """
    made = make_package(directory, output)
    if as_json:
        shown = {"path": str(made.path), "files": made.names, "left_out": made.left_out}
        show_json(shown)
        return
    click.echo(f"Made {made.path} of {', '.join(made.names)}.")
    if made.left_out:
        click.echo(f"Left out: {', '.join(made.left_out)}.")


@click.command()
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("prx-signing.key"),
    help="Where to write the private key, instead of prx-signing.key here.",
)
@as_json_option
def keygen(output: Path, *, as_json: bool) -> None:
    """Make a key to sign plugins with.

    The private key goes into a file for you alone; keep it, and keep it secret. The public key is printed as it goes
    into plugins.trusted_keys.
    """
    key = signer.generate(output)
    if as_json:
        show_json({"public_key": key, "private_key_file": str(output)})
        return
    click.echo(key)
    click.echo(f"The private key is in {output}.", err=True)


@click.command()
@click.argument("path", type=_PLUGIN)
@click.option(
    "--key",
    "key_file",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="The private key, as `prx plugin keygen` makes it.",
)
def sign(path: Path, key_file: Path) -> None:
    """Vouch for a plugin's manifest and component as they are now.

    PATH is a package, which then holds its signature; a directory, which gets a plugin.sig; or a .wasm file, which gets
    a .wasm.sig beside it. Signatures of other keys that still fit are kept.
    """
    where, key = signer.sign(_source(path), key_file)
    click.echo(f"Signed {path} with {key}; the signature is in {where}.")


@click.command()
@click.argument("path", type=_PLUGIN)
@click.option(
    "--key",
    "keys",
    metavar="KEY",
    multiple=True,
    help="A key to trust, instead of plugins.trusted_keys; repeatable.",
)
@as_json_option
def verify(path: Path, keys: tuple[str, ...], *, as_json: bool) -> None:
    """Say who signed a plugin.

    Exit code 0 when a trusted key did, 1 when the signature does not fit or there is no plugin, 3 when nobody signed
    it, 4 when a key that is not trusted did.
    """
    trusted = _checked(keys) if keys else load_config().plugins.trusted_keys
    shown: dict[str, object] = {"path": str(path), "key": None, "trusted": False}
    try:
        contents, _ = read(_source(path))
        signature = verify_signature(contents, trusted)
    except LoadError as error:
        said, code = error.message, _REFUSED
        shown["error"] = error.message
    else:
        said, code = _judged(signature)
        shown |= {"name": contents.name, "version": contents.version}
        shown |= {} if signature is None else {"key": signature.key, "trusted": signature.trusted}
    if as_json:
        show_json(shown)
    else:
        click.echo(f"{path}: {printable_lines(said)}", err=code == _REFUSED)
    sys.exit(code)


def _judged(signature: Signature | None) -> tuple[str, int]:
    if signature is None:
        return "not signed", _UNSIGNED
    if not signature.trusted:
        return f"signed by {signature.key}, which is not trusted", _UNTRUSTED
    return f"signed by {signature.key}, which is trusted", 0


def _checked(keys: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return TypeAdapter(tuple[PublicKey, ...]).validate_python(keys)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise PrxError(f"--key: {reason}") from error


def _source(path: Path) -> Source:
    source = source_at(path)
    if source is None:
        raise LoadError("not a plugin: give a .wasm or .prxplugin file, or a directory with a plugin.toml")
    return source
