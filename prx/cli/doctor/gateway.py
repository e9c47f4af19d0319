"""The HTTP port: whether a daemon could open it, and the certificate."""

import errno
import socket
import ssl
import stat
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from cryptography import x509

from prx.cli.doctor.findings import Finding, Site
from prx.cli.doctor.listeners import listeners
from prx.config.schema import GatewayConfig
from prx.core.ids import iso_utc, now_utc

_SOON: Final = timedelta(days=14)
_FOR_OTHERS: Final = 0o077
_READ_BY_ANYBODY: Final = 0o004
_NO_START: Final = "the daemon does not start"


def port(site: Site) -> Iterator[Finding]:
    """Check that the configured address can be listened on; where a daemon runs, it has it already."""
    gateway = site.config.gateway
    if site.pid is not None or gateway.port == 0:
        return
    try:
        found = socket.getaddrinfo(gateway.host.strip("[]"), gateway.port, type=socket.SOCK_STREAM)
    except OSError as error:
        yield Finding(
            f"gateway.host: {gateway.host} is no address: {error.strerror}",
            _NO_START,
            "set gateway.host to an address of this machine",
        )
        return
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(address)
                trial.listen(1)  # one that is bound and does not listen lets others bind as well
        except OSError as error:
            yield _refused(gateway, error)
            return


def certificate(site: Site) -> Iterator[Finding]:
    """Check that certificate and key can be read, belong together, and do not end soon."""
    path, key = site.config.gateway.tls_cert, site.config.gateway.tls_key
    if path is None or key is None:
        return
    try:
        # An encrypted key does not fit the empty password, rather than having the terminal asked for one.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(path, key, password="")
        ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as error:  # ssl's errors are OSErrors
        yield Finding(
            f"gateway.tls_cert, gateway.tls_key: {path} and its key cannot be used: {error}",
            _NO_START,
            "both must be PEM files that this user can read and that belong together, and the key not encrypted",
        )
        return
    if (mode := key.stat().st_mode) & _FOR_OTHERS:
        yield Finding(
            f"others may read the private key {key}: its mode is {stat.S_IMODE(mode):o}",
            "who has it can pretend to be this daemon",
            f"chmod {stat.S_IMODE(mode) & ~_FOR_OTHERS:o} {key}",
            "problem" if mode & _READ_BY_ANYBODY else "advice",
        )
    if ends - now_utc() < _SOON:
        over = ends <= now_utc()
        yield Finding(
            f"the certificate {path} {'ended' if over else 'ends'} on {iso_utc(ends)}",
            "clients refuse to talk to the daemon from then on",
            "renew it, then restart the daemon",
            "problem" if over else "advice",
        )


def _refused(gateway: GatewayConfig, error: OSError) -> Finding:
    where = f"{gateway.host}:{gateway.port}"
    if error.errno == errno.EADDRINUSE:
        held = ", ".join(listeners(gateway.port)) or "another user's program, which root could name"
        return Finding(
            f"the port is taken: {held} listens on {where}",
            f"{_NO_START} (exit code 4)",
            "stop that program, or set another gateway.port",
        )
    if error.errno == errno.EACCES:
        return Finding(
            f"this user may not listen on {where}",
            _NO_START,
            "set a gateway.port of 1024 or more, or give the service CAP_NET_BIND_SERVICE",
        )
    return Finding(
        f"gateway.host, gateway.port: cannot listen on {where}: {error.strerror}",
        _NO_START,
        "set gateway.host to an address of this machine",
    )
