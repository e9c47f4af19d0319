"""Opens the port: address, certificate, and what to tell the operator when either cannot be used."""

import errno
import hashlib
import ssl
from pathlib import Path

from aiohttp import web

from prx.config.schema import GatewayConfig
from prx.core.errors import ConfigError
from prx.runtime.process import Address, AddressInUseError


class _EncryptedKeyError(Exception):
    pass


async def listen(runner: web.AppRunner, gateway: GatewayConfig) -> Address:
    """Open the port that the configuration names, and return where that is.

    Raises:
        AddressInUseError: another program listens there.
        ConfigError: the address or the certificate cannot be used.
    """
    context, certificate = (
        (None, None) if gateway.tls_cert is None else _tls(gateway.tls_cert, gateway.tls_key)
    )
    site = web.TCPSite(runner, gateway.host.strip("[]"), gateway.port, ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        where, reason = f"{gateway.host}:{gateway.port}", error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            raise AddressInUseError(
                f"cannot listen on {where}: {reason}; stop the program that does, or set another gateway.port"
            ) from error
        raise ConfigError(f"gateway.host, gateway.port: cannot listen on {where}: {reason}") from error
    return Address(site.name, certificate)


def _tls(path: Path, key: Path | None) -> tuple[ssl.SSLContext, str | None]:
    """Return what TLS is done with, and the SHA-256 of the certificate that is shown."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        shown = _fingerprint(path.read_text(errors="replace"))
        # OpenSSL would ask the terminal for it, where there is one, and wait.
        context.load_cert_chain(path, key, password=_no_password)
    except (OSError, _EncryptedKeyError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ConfigError(
            f"gateway.tls_cert, gateway.tls_key: cannot use {path} and its key: {reason or error}; both must be "
            "readable PEM files that belong together, and the key not encrypted"
        ) from error
    return context, shown


def _fingerprint(pem: str) -> str | None:
    start, end = pem.find(ssl.PEM_HEADER), pem.find(ssl.PEM_FOOTER)
    if not 0 <= start < end:
        return None  # loading it says what is wrong
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[start : end + len(ssl.PEM_FOOTER)])).hexdigest()


def _no_password() -> str:
    raise _EncryptedKeyError("the key is encrypted")
