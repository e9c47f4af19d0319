"""`prx auth`: make, list and revoke the API's tokens, whether the daemon runs or not."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import click

from prx.api.scopes import WILDCARD, Role
from prx.api.tokens import TokenStore
from prx.api.tokens_file import Token
from prx.cli.context import used_data_dir
from prx.cli.durations import Duration
from prx.cli.output import as_json_option, show_json, table
from prx.core.ids import iso_utc


@click.group()
def auth() -> None:
    """Make, list and revoke the tokens that the API asks for."""


@auth.command()
@click.option("--name", default="cli", show_default=True, help="What the list shows it as.")
@click.option("--role", type=click.Choice(get_args(Role)), default="admin", show_default=True)
@click.option("--scope", "scopes", multiple=True, help="Narrow the role to this scope; repeatable.")
@click.option("--expires", type=Duration(), help="When it ends, from now: 90s, 30m, 12h, 30d, 4w.")
def token(name: str, role: Role, scopes: tuple[str, ...], expires: timedelta | None) -> None:
    """Print a new token, and nothing else. It is shown this once."""
    secret, _ = _store().create(name, role=role, scopes=list(scopes), expires_in=expires)
    click.echo(secret)


@auth.command("list")
@as_json_option
def list_tokens(*, as_json: bool) -> None:
    """Show every token: id, name, role, scopes, and when it was made, last used and ends."""
    tokens = _store().all()
    if as_json:
        show_json({"tokens": [_row(stored) for stored in tokens]})
    elif tokens:
        click.echo(_table(tokens))
    else:
        click.echo("No tokens; `prx auth token` makes one.")


@auth.command()
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """Remove a token; the daemon refuses it from its next request on."""
    revoked = _store().revoke(token_id)
    click.echo(f'Revoked {revoked.id} "{revoked.name}".')


def _store() -> TokenStore:
    return TokenStore(used_data_dir())


def _row(token: Token) -> dict[str, Any]:
    whole = token.scopes is None and token.role == "admin"
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "scopes": [WILDCARD] if whole else sorted(token.granted),
        "created": iso_utc(token.created),
        "last_used": None if token.last_used is None else iso_utc(token.last_used),
        "expires": None if token.expires is None else iso_utc(token.expires),
    }


def _table(tokens: list[Token]) -> str:
    headings = ("ID", "NAME", "ROLE", "SCOPES", "CREATED", "LAST USED", "EXPIRES")
    rows = []
    for token in tokens:
        scopes = "all of the role" if token.scopes is None else ",".join(token.scopes)
        last_used, expires = _short(token.last_used), _short(token.expires)
        rows.append((token.id, token.name, token.role, scopes, _short(token.created), last_used, expires))
    return table(headings, rows)


def _short(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")
