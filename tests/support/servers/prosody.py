"""Prosody, a server of XMPP."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.servers.ports import reserved_port
from tests.support.servers.process import ServerProcess, program, server_directory

DOMAIN: Final = "good.example"  # what the tests' certificate is for
ROOMS: Final = f"rooms.{DOMAIN}"
PASSWORD: Final = "open sesame"  # noqa: S105  # of a server that lives for a test
_SETTINGS: Final = """
run_as_root = true
pidfile = "{directory}/prosody.pid"
data_path = "{directory}/data"
certificates = "{directory}"
log = {{ info = "*console" }}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "ping", "smacks", "offline", "carbons" }}
modules_disabled = {{ "s2s" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{}}
s2s_ports = {{}}
c2s_require_encryption = true
authentication = "internal_plain"
ssl = {{ certificate = "{certificate}", key = "{certificate}" }}
VirtualHost "{domain}"
Component "{rooms}" "muc"
    muc_room_locking = false
"""


@contextmanager
def prosody(certificate: Path, *users: str) -> Iterator[ServerProcess]:
    """Run it for these users, all with `PASSWORD`, and with rooms that anybody may make."""
    with server_directory() as directory, reserved_port() as port:
        settings = directory / "prosody.cfg.lua"
        settings.write_text(
            _SETTINGS.format(
                directory=directory, port=port, certificate=certificate, domain=DOMAIN, rooms=ROOMS
            )
        )
        for user in users:
            _write_account(directory / "data", user)
        command = [program("prosody", "prosody"), "--config", str(settings), "-F"]
        with ServerProcess(command, directory=directory, ports=(port,)) as server:
            yield server


def _write_account(data: Path, user: str) -> None:
    accounts = data / DOMAIN.replace(".", "%2e") / "accounts"
    accounts.mkdir(parents=True, exist_ok=True)
    (accounts / f"{user}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}" }};\n')
