"""Secrets in a plugin's configuration: the guest gets placeholders, and requests get the values as they leave."""

import base64
import binascii
import json
import os
import re
import secrets
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final
from urllib.parse import quote, quote_plus

from prx.core.errors import ForbiddenError, NotFoundError
from prx.plugins.errors import LoadError
from prx.plugins.secrets import SECRET_NAME, SecretStore

_SECRET: Final = "secret:"  # noqa: S105  # a prefix
_VARIABLE: Final = "env:"
# Characters that no encoding of a URL, a form or JSON changes. At random, so that text which only passes through
# the guest cannot name one.
_PLACEHOLDER: Final = re.compile(r"prx-secret-[0-9a-f]{32}")
_BASIC: Final = re.compile(r"(basic +)([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)

Source = Callable[[], str]


class SealedConfig:
    """The configuration of one generation of a plugin: `shown` to the guest, with its secrets kept by the host."""

    def __init__(
        self, shown: Mapping[str, str], sources: Mapping[str, Source], readable: Collection[str] = ()
    ) -> None:
        """Use `seal`."""
        self.shown = shown
        self.readable = readable
        """Variables that it may name; replaced when the operator decides anew."""
        self._sources = sources

    def disclosure(self) -> "Disclosure":
        """Return what puts the secrets into one request."""
        return Disclosure(self._sources)


NO_SECRETS: Final = SealedConfig({}, {})


def seal(
    plugin: str, config: Mapping[str, str], store: SecretStore, readable: Collection[str]
) -> SealedConfig:
    """Replace each `secret:NAME` and `env:NAME` in `config` by a placeholder of its own.

    Whether a secret exists shows when it is needed: it may be set later. `readable` are the variables of the
    daemon's environment that the plugin may use. Its manifest names what it likes, and would otherwise be sent
    whatever lies there.

    Raises:
        LoadError: a variable is not readable, or a name is no name of a secret.
    """
    shown, sources = dict(config), dict[str, Source]()
    sealed = SealedConfig(shown, sources, readable)
    for key, value in config.items():
        if value.startswith(_SECRET):
            source = _stored(plugin, key, value.removeprefix(_SECRET), store)
        elif value.startswith(_VARIABLE):
            source = _variable(plugin, key, value.removeprefix(_VARIABLE), sealed)
        else:
            continue
        shown[key] = f"prx-secret-{secrets.token_hex(16)}"
        sources[shown[key]] = source
    return sealed


def _stored(plugin: str, key: str, name: str, store: SecretStore) -> Source:
    if not re.fullmatch(SECRET_NAME, name):
        raise LoadError(
            f'[config] {key}: "{name}" is no name of a secret: use letters, digits, "_", "-" and "."'
        )
    return partial(store.value, name, plugin)


def _variable(plugin: str, key: str, name: str, sealed: SealedConfig) -> Source:
    if name not in sealed.readable:
        raise LoadError(
            f'[config] {key}: the plugin may not read the variable {name}: set {key} = "env:{name}" in '
            f"[plugins.settings.{plugin}.config] of prx.toml, or list {name} in its env_allowlist and grant it "
            f"env: prx plugin grant {plugin} env"
        )

    def read() -> str:
        if name not in sealed.readable:
            raise ForbiddenError(
                f"the plugin may not read the variable {name} any more: prx plugin grant {plugin} env"
            )
        if name not in os.environ:
            raise NotFoundError(f"the variable {name} is not set in the daemon's environment")
        return os.environ[name]

    return read


class Disclosure:
    """Puts the secrets that one request names into it, and takes them out of what comes back.

    A server that answers with what it was sent would otherwise hand them to the guest. Taken out are the value as
    it is and in the encodings it was sent in; against a server that works for the guest nothing helps but the
    allowlist.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        """Begin with nothing disclosed."""
        self._sources = sources
        self._disclosed: dict[bytes, bytes] = {}

    @property
    def disclosed(self) -> bool:
        """Whether a secret was put into the request."""
        return bool(self._disclosed)

    def named_in(self, text: str) -> bool:
        """Tell whether `text` holds a placeholder of the plugin."""
        return any(found in self._sources for found in _PLACEHOLDER.findall(text))

    def in_header(self, value: str) -> str:
        """Return a header's value with its secrets; in Basic credentials they are found too.

        Raises:
            PrxError: a secret cannot be had.
        """
        if (basic := _BASIC.fullmatch(value)) is not None and (inner := _decoded(basic[2])) is not None:
            opened = self._reveal(inner, str)
            if opened != inner:
                encoded = base64.b64encode(opened.encode()).decode()
                self._disclosed[encoded.encode()] = basic[2].encode()
                return basic[1] + encoded
        return self._reveal(value, str)

    def in_query(self, query: str) -> str:
        """Return a URL's query with its secrets, escaped.

        Raises:
            PrxError: as `in_header`.
        """
        return self._reveal(query, _for_url)

    def in_body(self, body: bytes, content_type: str) -> bytes:
        """Return a body with its secrets, written as JSON or a form needs them where `content_type` is one.

        Raises:
            PrxError: as `in_header`.
        """
        kind = content_type.partition(";")[0].strip().lower()
        encode = _for_url if kind == "application/x-www-form-urlencoded" else str
        if kind == "application/json" or kind.endswith("+json"):
            encode = _for_json
        # Latin-1 gives each byte a character and back: a body need not be text.
        return self._reveal(
            body.decode("latin-1"), lambda value: encode(value).encode().decode("latin-1")
        ).encode("latin-1")

    def hide(self, data: bytes) -> bytes:
        """Return `data` with placeholders in place of what was disclosed."""
        if not self._disclosed:
            return data
        # In one pass and the longest first: a secret may be a part of another, or of a placeholder.
        values = sorted(self._disclosed, key=len, reverse=True)
        return re.sub(b"|".join(map(re.escape, values)), lambda found: self._disclosed[found[0]], data)

    def hide_in(self, text: str) -> str:
        """Return `text` with placeholders in place of what was disclosed."""
        return self.hide(text.encode()).decode()

    def _reveal(self, text: str, encode: Callable[[str], str]) -> str:
        def value_of(match: re.Match[str]) -> str:
            source = self._sources.get(match[0])
            if source is None:
                return match[0]
            value = source()
            for form in _spellings(value):
                self._disclosed[form.encode()] = match[0].encode()
            return encode(value)

        return _PLACEHOLDER.sub(value_of, text)


def _spellings(value: str) -> set[str]:
    """Return `value` as servers may write it who repeat what they were sent."""
    plain_json = json.dumps(value, ensure_ascii=False)[1:-1]
    return {value, _for_url(value), quote_plus(value), _for_json(value), plain_json}


def _for_url(value: str) -> str:
    return quote(value, safe="")


def _for_json(value: str) -> str:
    return json.dumps(value)[1:-1]


def _decoded(text: str) -> str | None:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
