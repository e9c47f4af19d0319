"""Who may call the API and what plugins send: the files of tokens and secrets."""

from collections.abc import Iterator, Sequence
from functools import partial

from prx.api.tokens import TokenStore
from prx.cli.client import TOKEN_NAME
from prx.cli.doctor.findings import Finding, Site
from prx.core.errors import NotFoundError, PrxError
from prx.core.ids import now_utc
from prx.plugins.secrets import SecretStore


def tokens(site: Site) -> Iterator[Finding]:
    """Check that the tokens can be read, and find those that commands which were killed left behind."""
    if not site.readable:
        return
    store = TokenStore(site.data_dir)
    try:
        found = store.all()
    except PrxError as error:
        yield Finding(
            error.message,
            "no token is valid meanwhile: nobody can call the API",
            "make it readable for the daemon's user alone, restore it from a backup, or delete it and make new tokens "
            "with `prx auth token`",
        )
        return
    now = now_utc()
    left = [token.id for token in found if token.name == TOKEN_NAME and token.expires and token.expires < now]
    if left:
        yield Finding(
            f"{len(left)} expired token{'s' if len(left) > 1 else ''} of commands that were killed",
            "they open nothing, and make the list of tokens longer",
            f"prx auth revoke {left[0]}" + (" and so on" if len(left) > 1 else ""),
            "advice",
            partial(_revoke, store, left),
        )


def secrets(site: Site) -> Iterator[Finding]:
    """Check that every secret can be opened with the key that lies beside it."""
    if not site.readable:
        return
    store = SecretStore(site.data_dir)
    why = "requests of plugins that need a secret fail"
    try:
        found = store.all()
    except PrxError as error:
        again = "restore it from a backup, or delete it and set the secrets again with `prx secret set`"
        yield Finding(error.message, why, again)
        return
    for secret in found:
        try:
            store.value(secret.name, secret.plugins[0] if secret.plugins else "")
        except PrxError as error:
            yield Finding(error.message, why, f"set it again: prx secret set {secret.name}")


def _revoke(store: TokenStore, ids: Sequence[str]) -> str:
    for token_id in ids:
        try:
            store.revoke(token_id)
        except NotFoundError:  # another command did
            continue
    return f"removed {len(ids)} expired token{'s' if len(ids) > 1 else ''}"
