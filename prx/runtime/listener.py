"""Opens the port: address, certificate, and what to tell the operator when either cannot be used."""

import errno
import ssl

from aiohttp import web

from prx.config.schema import GatewayConfig
from prx.core.errors import ConfigError
from prx.runtime.process import AddressInUseError


async def listen(runner: web.AppRunner, gateway: GatewayConfig) -> web.TCPSite:
    """Open the port that the configuration names.

    Raises:
        AddressInUseError: another program listens there.
        ConfigError: the address or the certificate cannot be used.
    """
    site = web.TCPSite(runner, gateway.host.strip("[]"), gateway.port, ssl_context=_tls(gateway))
    try:
        await site.start()
    except OSError as error:
        where, reason = f"{gateway.host}:{gateway.port}", error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            raise AddressInUseError(
                f"cannot listen on {where}: {reason}; stop the program that does, or set another gateway.port"
            ) from error
        raise ConfigError(f"gateway.host, gateway.port: cannot listen on {where}: {reason}") from error
    return site


def _tls(gateway: GatewayConfig) -> ssl.SSLContext | None:
    if gateway.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(gateway.tls_cert, gateway.tls_key)
    except OSError as error:
        raise ConfigError(
            f"gateway.tls_cert, gateway.tls_key: cannot use {gateway.tls_cert} and its key: "
            f"{error.strerror or error}; both must be readable PEM files that belong together"
        ) from error
    return context
