"""`prx secret`: what plugins send without seeing it, stored encrypted, whether the daemon runs or not."""

import sys

import click

from prx.cli.context import used_data_dir
from prx.cli.output import as_json_option, moment, show_json, table
from prx.core.errors import BadRequestError
from prx.core.ids import iso_utc
from prx.plugins.secrets import MAX_VALUE_BYTES, SecretStore


@click.group()
def secret() -> None:
    """Keep the secrets that plugins' configurations name as secret:NAME."""


@secret.command("set")
@click.argument("name")
@click.option("--plugin", "plugins", multiple=True, help="Only this plugin may use it; repeatable.")
def set_secret(name: str, plugins: tuple[str, ...]) -> None:
    """Store a secret, new or changed; plugins use it from their next request on.

    The value is asked for, or read from standard input where that is no terminal; one final line break is left out.
    """
    _store().set(name, _value(), plugins)
    click.echo(f'Stored the secret "{name}" for {", ".join(plugins) or "every plugin that names it"}.')


@secret.command("list")
@as_json_option
def list_secrets(*, as_json: bool) -> None:
    """Show every secret's name, when it was set and for whom; never its value."""
    stored = _store().all()
    if as_json:
        rows = [
            {"name": secret.name, "changed": iso_utc(secret.changed), "plugins": secret.plugins}
            for secret in stored
        ]
        show_json({"secrets": rows})
    elif stored:
        lines = [
            (secret.name, moment(iso_utc(secret.changed)), ", ".join(secret.plugins) or "every plugin")
            for secret in stored
        ]
        click.echo(table(("NAME", "SET", "FOR"), lines))
    else:
        click.echo("No secrets; `prx secret set NAME` stores one.")


@secret.command()
@click.argument("name")
def remove(name: str) -> None:
    """Forget a secret; requests that need it fail from now on."""
    _store().remove(name)
    click.echo(f'Removed the secret "{name}".')


def _store() -> SecretStore:
    return SecretStore(used_data_dir())


def _value() -> str:
    if sys.stdin.isatty():
        answer: str = click.prompt("Value", hide_input=True, confirmation_prompt=True)
        return answer
    data = sys.stdin.buffer.read(MAX_VALUE_BYTES + 3)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadRequestError(f"a secret is UTF-8 text; byte {error.start} of this one is not") from None
    return text.removesuffix("\n").removesuffix("\r")
