"""Synapse, a homeserver of Matrix, from PyPI in an environment of its own."""

import hashlib
import hmac
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.environments import environment
from tests.support.servers.ports import reserved_port
from tests.support.servers.process import ServerProcess, server_directory

DOMAIN: Final = "localhost"
PASSWORD: Final = "open sesame"  # noqa: S105  # of a server that lives for a test
_LOCK: Final = Path(__file__).parents[2] / "components/synapse/requirements.lock"
_SECRET: Final = "registers whoever knows it"  # noqa: S105  # as above
_FREE: Final = "{per_second: 10000, burst_count: 10000}"
_SETTINGS: Final = """
server_name: {domain}
pid_file: {directory}/synapse.pid
listeners:
  - {{type: http, port: {port}, tls: false, bind_addresses: ["127.0.0.1"], resources: [{{names: [client]}}]}}
database: {{name: sqlite3, args: {{database: "{directory}/synapse.db"}}}}
media_store_path: {directory}/media
signing_key_path: {directory}/signing.key
log_config: {directory}/log.yaml
registration_shared_secret: {secret}
macaroon_secret_key: of a server that lives for a test
report_stats: false
bcrypt_rounds: 4
trusted_key_servers: []
suppress_key_server_warning: true
max_upload_size: 1M
rc_message: {messages}
rc_login: {{address: {free}, account: {free}, failed_attempts: {free}}}
rc_invites: {{per_room: {free}, per_user: {free}, per_issuer: {free}}}
rc_joins: {{local: {joins}, remote: {free}}}
rc_room_creation: {free}
rc_registration: {free}
"""
_LOGGING: Final = """
version: 1
handlers: {console: {class: logging.StreamHandler}}
root: {level: WARNING, handlers: [console]}
"""


class Synapse(ServerProcess):
    """A homeserver without rate limits, unless it was started with one for messages."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def register(self, name: str) -> str:
        """Make an account with `PASSWORD`, and return its full name."""
        address = f"{self.url}/_synapse/admin/v1/register"
        with urllib.request.urlopen(address) as answer:  # noqa: S310
            nonce = json.load(answer)["nonce"]
        parts = f"{nonce}\0{name}\0{PASSWORD}\0notadmin".encode()
        body = {
            "nonce": nonce, "username": name, "password": PASSWORD, "admin": False,
            "mac": hmac.new(_SECRET.encode(), parts, hashlib.sha1).hexdigest(),
        }  # fmt: skip
        request = urllib.request.Request(address, data=json.dumps(body).encode())  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return str(json.load(answer)["user_id"])


@contextmanager
def synapse(cache: Path, *, messages: str = _FREE, joins: str = _FREE) -> Iterator[Synapse]:
    """Run it; `cache` keeps its environment, `messages` and `joins` are its limits as its settings have them."""
    python = environment(cache, _LOCK)
    with server_directory() as directory, reserved_port() as port:
        settings = directory / "homeserver.yaml"
        settings.write_text(
            _SETTINGS.format(
                domain=DOMAIN,
                directory=directory,
                port=port,
                secret=_SECRET,
                messages=messages,
                joins=joins,
                free=_FREE,
            )
        )
        (directory / "log.yaml").write_text(_LOGGING)
        command = [str(python), "-m", "synapse.app.homeserver", "--config-path", str(settings)]
        subprocess.run([*command, "--generate-keys"], check=True, capture_output=True)
        with Synapse(command, directory=directory, ports=(port,)) as server:
            yield server
