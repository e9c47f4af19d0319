"""What plugins send but never see: secrets by name, encrypted in the data directory.

`prx.runtime.sealing` says what that protects against.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, PlainSerializer, TypeAdapter, ValidationError

from prx.core.errors import BadRequestError, ForbiddenError, NotFoundError, PrxError
from prx.core.ids import iso_utc, now_utc
from prx.core.private_file import PrivateFile
from prx.plugins.manifest import PLUGIN_NAME
from prx.runtime.sealing import BrokenSealError, Sealer

SECRET_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"  # noqa: S105  # a pattern
MAX_VALUE_BYTES: Final = 64 * 1024
_MAX_FILE_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret as it is stored."""

    name: Annotated[str, Field(pattern=SECRET_NAME)]
    changed: Annotated[AwareDatetime, PlainSerializer(iso_utc, when_used="json")]
    sealed: str
    """Nonce and AES-256-GCM ciphertext in base64; name and plugins are authenticated with it."""
    plugins: list[str] = field(default_factory=list)
    """Which plugins may use it; empty is every one whose configuration names it."""

    def bound(self) -> bytes:
        """Return what the ciphertext is bound to, so that nobody can swap two of them."""
        return "\0".join([self.name, *self.plugins]).encode()


@dataclass(frozen=True, slots=True)
class _Document:
    version: Literal[1] = 1
    secrets: list[Secret] = field(default_factory=list)


_DOCUMENT: Final = TypeAdapter(_Document)


class SecretStore:
    """The secrets of one data directory, shared by the daemon and any number of CLI processes.

    Every method blocks on the file system: none is for the event loop. A change counts from the next request on.
    """

    def __init__(self, data_dir: Path) -> None:
        """Stand for `secrets.json` and `secrets.key` in `data_dir`; neither need exist yet."""
        self._file = PrivateFile(data_dir / "secrets.json", max_bytes=_MAX_FILE_BYTES)
        self._sealer = Sealer(data_dir, f"delete {self._file.path} and set the secrets again")

    def all(self) -> Sequence[Secret]:
        """Return every secret by name, its value still sealed.

        Raises:
            PrxError: the file cannot be read.
        """
        content = self._file.read()
        if content is None:
            return []
        try:
            return sorted(_DOCUMENT.validate_json(content).secrets, key=lambda secret: secret.name)
        except ValidationError as error:
            # Not with pydantic's text: it repeats what it found.
            raise PrxError(
                f"{self._file.path}: not a secrets file: restore it from a backup, or delete it and set the "
                "secrets again"
            ) from error

    def value(self, name: str, plugin: str) -> str:
        """Return the value of `name` for a request of `plugin`.

        Raises:
            NotFoundError: there is no such secret.
            ForbiddenError: it is kept for other plugins.
            PrxError: it cannot be read.
        """
        secret = next((secret for secret in self.all() if secret.name == name), None)
        if secret is None:
            raise NotFoundError(f'there is no secret "{name}": prx secret set {name}')
        if secret.plugins and plugin not in secret.plugins:
            raise ForbiddenError(
                f'the secret "{name}" is not for the plugin "{plugin}": set it again with --plugin {plugin}'
            )
        return self._opened(secret)

    def set(self, name: str, value: str, plugins: Collection[str] = ()) -> None:
        """Store `value` as `name`, for `plugins` alone where there are any.

        Raises:
            BadRequestError: an unfit name or value.
            PrxError: the file cannot be read or written.
        """
        if not re.fullmatch(SECRET_NAME, name):
            raise BadRequestError(f'"{name}" is no name of a secret: use letters, digits, "_", "-" and "."')
        if not 0 < len(value.encode()) <= MAX_VALUE_BYTES:
            raise BadRequestError(f"a secret has 1 to {MAX_VALUE_BYTES} bytes")
        for plugin in plugins:
            if not re.fullmatch(PLUGIN_NAME, plugin.replace("_", "-")):
                raise BadRequestError(f'"{plugin}" is no name of a plugin')
        with self._file.locked():
            others = [secret for secret in self.all() if secret.name != name]
            blank = Secret(name, now_utc(), "", sorted(set(plugins)))
            self._write([*others, self._sealed(blank, value, make_key=not others)])

    def remove(self, name: str) -> None:
        """Forget `name`.

        Raises:
            NotFoundError: there is no such secret.
            PrxError: the file cannot be read or written.
        """
        with self._file.locked():
            secrets = self.all()
            rest = [secret for secret in secrets if secret.name != name]
            if len(rest) == len(secrets):
                raise NotFoundError(f'there is no secret "{name}"; `prx secret list` shows what there is')
            self._write(rest)

    def forget_plugin(self, plugin: str) -> None:
        """Forget the secrets that are kept for `plugin` alone, and keep those for several from it.

        Raises:
            PrxError: the file cannot be read or written, or a secret not be opened.
        """
        with self._file.locked():
            secrets = self.all()
            if any(plugin in secret.plugins for secret in secrets):
                self._write(
                    [kept for secret in secrets if (kept := self._without(plugin, secret)) is not None]
                )

    def _without(self, plugin: str, secret: Secret) -> Secret | None:
        if plugin not in secret.plugins:
            return secret
        # An empty list would be for every plugin.
        others = [name for name in secret.plugins if name != plugin]
        return self._sealed(replace(secret, plugins=others), self._opened(secret)) if others else None

    def _sealed(self, secret: Secret, value: str, *, make_key: bool = False) -> Secret:
        return replace(secret, sealed=self._sealer.seal(value, secret.bound(), make_key=make_key))

    def _write(self, secrets: list[Secret]) -> None:
        self._file.replace(_DOCUMENT.dump_json(_Document(secrets=secrets), indent=2))

    def _opened(self, secret: Secret) -> str:
        try:
            return self._sealer.open(secret.sealed, secret.bound())
        except BrokenSealError as error:
            raise PrxError(
                f'the secret "{secret.name}": {error.message}: prx secret set {secret.name}'
            ) from error
