"""What a provider of the configuration is asked with: protocol, address, key."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import urlsplit

from prx.agent.providers.known import BUILTIN, EXTRAS, KNOWN, PACKAGES, Protocol
from prx.config.schema import Config, OtherProviderConfig, ProviderConfig
from prx.core.provider import ProviderConfigurationError


class Link(NamedTuple):
    """One provider of the chain: the one that is configured, or one that stands in for it."""

    name: str
    model: str | None
    """None where the configuration does not say."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how one provider is asked."""

    name: str
    """As the configuration calls it."""
    table: str
    """The table of the configuration that is about it."""
    protocol: Protocol
    url: str = field(repr=False)
    key: str | None = field(repr=False)
    known_as: str | None
    """The name by which the client library knows its quirks."""

    @property
    def host(self) -> str:
        """Where it is, for people: without what may be a secret in the address."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""


def chain_of(config: ProviderConfig) -> list[Link]:
    """Return the providers to try, in order, each once."""
    links = [Link(config.name, config.model)]
    for text in config.fallback:
        name, slash, model = text.partition("/")
        links.append(Link(name, model if slash else None))
    return list(dict.fromkeys(links))


def is_configured(config: ProviderConfig, name: str) -> bool:
    """Tell whether `name` is asked as the configuration says, rather than through what a plugin brings."""
    _, own = _table_of(config, name)
    return name != BUILTIN and (name in KNOWN or own.type is not None or own.base_url is not None)


def endpoint_of(config: ProviderConfig, link: Link) -> Endpoint:
    """Return what a provider is asked with.

    Raises:
        ProviderConfigurationError: it is unknown, or lacks an address, a key or a model; says what to set.
    """
    name = link.name
    where, own = _table_of(config, name)
    kind = own.type or name
    known = KNOWN.get(kind)
    url = own.base_url or (known.url if known else None)
    if url is None:
        raise ProviderConfigurationError(_without_address(name, kind, where))
    _check_address(url, f"{where}.base_url")
    # A key of the environment goes nowhere else, whoever may change an address.
    at_home = known is not None and known.url in (None, url.rstrip("/"))
    variables = known.variables if known is not None and at_home else ()
    key = own.api_key.get_secret_value() if own.api_key else _from_environment(variables)
    if variables and not key:
        raise ProviderConfigurationError(
            f'provider "{name}" needs a key: set {where}.api_key, or the environment variable '
            f"{' or '.join(variables)} of the daemon"
        )
    if key and not (key.isascii() and key.isprintable() and " " not in key):
        raise ProviderConfigurationError(
            f'the key of provider "{name}" is none: it holds a blank or a character that no key has; set '
            f"{where}.api_key to the key alone"
        )
    if link.model in (None, BUILTIN):
        raise ProviderConfigurationError(_without_model(config, name))
    if kind == "openai" and not at_home:
        # Servers that are compatible with OpenAI speak its older protocol; hardly any speaks the newer.
        known = None
    protocol: Protocol = "chat" if known is None else known.protocol
    known_as = kind if known is not None and known.quirks else None
    return Endpoint(name, where, protocol, url, key or None, known_as)


def keys_of(config: Config) -> list[str]:
    """Return the keys that providers of this configuration take from the environment: no log shows them."""
    kinds = {own.type or name for name, own in config.provider.others.items()} | {
        link.name for link in chain_of(config.provider)
    }
    kinds.add((config.memory.embedding_model or "").partition("/")[0])
    variables = [variable for kind in kinds & KNOWN.keys() for variable in KNOWN[kind].variables]
    return [os.environ[variable] for variable in variables if os.environ.get(variable)]


def check_installed(endpoint: Endpoint) -> None:
    """Return where the client library is there. Blocks on the file system, and loads nothing of it.

    Raises:
        ProviderConfigurationError: it is not; says what to install.
    """
    try:
        missing = [package for package in PACKAGES[endpoint.protocol] if find_spec(package) is None]
    except ModuleNotFoundError:  # a package's parent is missing, too
        raise not_installed(endpoint) from None
    if missing:
        raise not_installed(endpoint)


def not_installed(endpoint: Endpoint) -> ProviderConfigurationError:
    """Say what to install for `endpoint`."""
    return ProviderConfigurationError(
        f'provider "{endpoint.name}" needs a client library that is not installed: '
        f'pip install "prx[{EXTRAS[endpoint.protocol]}]", then restart the daemon'
    )


def _table_of(config: ProviderConfig, name: str) -> tuple[str, OtherProviderConfig]:
    """Return what the configuration says of a provider, and where: its own table, and `[provider]` over it."""
    own = config.others.get(name, OtherProviderConfig())
    if name != config.name:
        return f"provider.others.{name}", own
    over = {"base_url": config.base_url, "api_key": config.api_key}
    said = {key: value for key, value in over.items() if value is not None}
    where = "provider" if name not in config.others else f"provider.others.{name}"
    return where, own.model_copy(update=said)


def _from_environment(variables: Sequence[str]) -> str | None:
    return next((os.environ[name] for name in variables if os.environ.get(name)), None)


def _without_address(name: str, kind: str, where: str) -> str:
    if kind in KNOWN:
        return f'provider "{name}" has no address that is everybody\'s: set {where}.base_url to yours'
    near = get_close_matches(kind, KNOWN, n=1)
    meant = f'; perhaps "{near[0]}" is meant' if near else ""
    return (
        f'there is no provider "{kind}"{meant}: set {where}.base_url for a server that is compatible with OpenAI, '
        f"install the plugin that brings it, or name one of {', '.join(KNOWN)}, {BUILTIN}"
    )


def _without_model(config: ProviderConfig, name: str) -> str:
    if name == config.name:
        return f'provider "{name}" needs a model: set provider.model to its own name for one'
    return f'provider "{name}" needs a model: write "{name}/MODEL" in provider.fallback'


def _check_address(url: str, key: str) -> None:
    try:
        parts = urlsplit(url)
        fault = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        fault = True
    if fault:
        # Without the address itself: a password may stand in it.
        raise ProviderConfigurationError(f"{key} is no address: set it to one such as https://host/v1")
