"""Mosquitto, a broker of MQTT."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.support.servers.ports import reserved_port
from tests.support.servers.process import ServerProcess, program, server_directory

PASSWORD: Final = "open sesame"  # noqa: S105  # of a broker that lives for a test
_SETTINGS: Final = """
listener {port} 127.0.0.1
allow_anonymous false
password_file {directory}/passwords
persistence true
persistence_location {directory}/
autosave_interval 1
autosave_on_changes true
user root
"""


@contextmanager
def mosquitto(*users: str) -> Iterator[ServerProcess]:
    """Run it for these users, all with `PASSWORD`. What it has to keep for them outlasts a kill."""
    with server_directory() as directory, reserved_port() as port:
        passwords = directory / "passwords"
        passwords.touch(mode=0o600)
        for user in users:
            subprocess.run(
                [program("mosquitto_passwd", "mosquitto"), "-b", passwords, user, PASSWORD], check=True
            )
        settings = directory / "mosquitto.conf"
        settings.write_text(_SETTINGS.format(port=port, directory=directory))
        command = [program("mosquitto", "mosquitto"), "-c", str(settings)]
        with ServerProcess(command, directory=directory, ports=(port,)) as server:
            yield server
