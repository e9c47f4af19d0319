"""Mosquitto, a broker of MQTT."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.servers.ports import reserved_port
from tests.support.servers.process import ServerProcess, program, server_directory

PASSWORD: Final = "open sesame"  # noqa: S105  # of a broker that lives for a test
CLOSED: Final = "closed"
"""Topics that begin with this level are for nobody."""
_SETTINGS: Final = """
listener {port} 127.0.0.1
listener {tls_port} 127.0.0.1
certfile {certificate}
keyfile {certificate}
allow_anonymous false
password_file {directory}/passwords
acl_file {directory}/acl
persistence true
persistence_location {directory}/
autosave_interval 1
autosave_on_changes true
user root
"""


@contextmanager
def mosquitto(certificate: Path, *users: str) -> Iterator[ServerProcess]:
    """Run it for these users, all with `PASSWORD`; with TLS on a port beside the other.

    What it has to keep for them outlasts a kill.
    """
    with server_directory() as directory, reserved_port() as port, reserved_port() as tls_port:
        passwords = directory / "passwords"
        passwords.touch(mode=0o600)
        for user in users:
            subprocess.run(
                [program("mosquitto_passwd", "mosquitto"), "-b", passwords, user, PASSWORD], check=True
            )
        rules = "".join(f"user {user}\ntopic deny {CLOSED}/#\n" for user in users)
        (directory / "acl").write_text(f"pattern readwrite #\n{rules}")
        settings = directory / "mosquitto.conf"
        settings.write_text(
            _SETTINGS.format(port=port, tls_port=tls_port, directory=directory, certificate=certificate)
        )
        command = [program("mosquitto", "mosquitto"), "-c", str(settings)]
        with ServerProcess(command, directory=directory, ports=(port, tls_port)) as server:
            yield server
