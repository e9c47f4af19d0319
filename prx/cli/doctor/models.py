"""The language models of the configuration: whether they can be asked, as far as that shows without asking one."""

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from prx.agent.providers.endpoints import Endpoint, chain_of, check_installed, endpoint_of, is_configured
from prx.agent.providers.known import BUILTIN
from prx.cli.doctor.findings import Finding, Site
from prx.core.provider import ProviderConfigurationError

_CONNECT_SECS: Final = 5.0
_PORTS: Final = {"http": 80, "https": 443}
_WHY: Final = "the agent cannot ask it"


def language_models(site: Site) -> Iterator[Finding]:
    """Check that each provider is known, installed, has what it needs, and has a server that takes connections.

    Where a daemon runs, it tells the rest itself: keys may be in its environment alone.
    """
    config = site.config.provider
    for link in chain_of(config):
        if link.name == BUILTIN:
            continue
        try:
            endpoint = endpoint_of(config, link)
            check_installed(endpoint)
        except ProviderConfigurationError as error:
            if site.ask is None and is_configured(config, link.name):
                yield Finding(error.message, _WHY, "correct it: docs/providers.md")
            elif site.ask is None:
                yield Finding(
                    error.message, _WHY, "correct it, unless a plugin brings this provider", "advice"
                )
            continue
        yield from _unreachable(endpoint)


def _unreachable(endpoint: Endpoint) -> Iterator[Finding]:
    parts = urlsplit(endpoint.url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return  # whether the proxy reaches it shows with a request alone
    try:
        with closing(socket.create_connection((host, port), timeout=_CONNECT_SECS)):
            return
    except OSError as error:
        yield Finding(
            f'the server of provider "{endpoint.name}" at {endpoint.host} cannot be reached: {error}',
            _WHY,
            f"see whether it runs, whether the network lets this machine through, and {endpoint.table}.base_url",
        )
