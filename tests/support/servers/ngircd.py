"""ngIRCd."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.servers.ports import reserved_port
from tests.support.servers.process import ServerProcess, program, server_directory

PASSWORD: Final = "open sesame"  # noqa: S105  # of a server that lives for a test
_SETTINGS: Final = """
[Global]
    Name = irc.test.example
    Info = test
    Listen = 127.0.0.1
    Ports = {port}
    Password = {password}
[Limits]
    MaxConnectionsIP = 0
    MaxJoins = 0
    MaxNickLength = 20
    MaxPenaltyTime = 0
    PingTimeout = 120
[Options]
    DNS = no
    Ident = no
    PAM = no
[SSL]
    Ports = {tls_port}
    CertFile = {certificate}
    KeyFile = {certificate}
"""


@contextmanager
def ngircd(certificate: Path) -> Iterator[ServerProcess]:
    """Run it with the password `PASSWORD`, and with TLS on a port beside the other."""
    with server_directory() as directory, reserved_port() as port, reserved_port() as tls_port:
        settings = directory / "ngircd.conf"
        settings.write_text(
            _SETTINGS.format(port=port, tls_port=tls_port, password=PASSWORD, certificate=certificate)
        )
        command = [program("ngircd", "ngircd"), "-n", "-f", str(settings)]
        with ServerProcess(command, directory=directory, ports=(port, tls_port)) as server:
            yield server
