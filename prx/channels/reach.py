"""Reaching servers of chat platforms: TLS contexts, and in plain words why a server was not reached."""

import asyncio
import socket
import ssl
from pathlib import Path

from prx.core.errors import PermanentError, UnavailableError


async def tls_context(extra: Path | None = None) -> ssl.SSLContext:
    """Return a context that trusts what the system trusts, and the certificates in `extra`.

    Raises:
        PermanentError: that file cannot be used.
    """
    try:
        return await asyncio.to_thread(_context, extra)
    except (OSError, ssl.SSLError) as error:
        raise PermanentError(f'tls_ca: "{extra}" holds no certificates that can be read: {error}') from error


def _context(extra: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if extra is not None:
        context.load_verify_locations(extra)
    return context


def unreachable(host: str, port: int, error: BaseException, *, tls: bool) -> UnavailableError:
    """Say why there is no connection to a server, and what to look at where that is not plain."""
    where = f"{host}:{port}"
    match error:
        case TimeoutError():
            return UnavailableError(
                f"{where} did not answer in time: is the address right, {_doubt(tls=tls)}"
            )
        case ConnectionResetError() | BrokenPipeError():
            return UnavailableError(f"{where} closed the connection: is the port right, {_doubt(tls=tls)}")
        case socket.gaierror():
            return UnavailableError(f'no address is known for "{host}": {error.strerror}; check the name')
        case ConnectionRefusedError():
            return UnavailableError(
                f"{where} takes no connections: is the server running, is the port right?"
            )
        case ssl.SSLCertVerificationError():
            return UnavailableError(
                f"{where} shows a certificate that is not trusted ({error.verify_message}): "
                "check the name, or name its authority in tls_ca"
            )
        case ssl.SSLError() if "WRONG_VERSION" in str(error) or "RECORD_LAYER" in str(error):
            return UnavailableError(
                f"{where} does not speak TLS at once: check the port, and what is set of TLS"
            )
        case _:
            return UnavailableError(f"no connection to {where}: {error or type(error).__name__}")


def _doubt(*, tls: bool) -> str:
    """Ask what may be wrong where a server says nothing that could be understood; names no key, which platforms do."""
    return "and does it speak TLS there at once?" if tls else "and does it speak without TLS there?"
