"""The command line as a client of the daemon on this machine and of this user: it finds address and token itself."""

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from prx.api.tokens import TokenStore
from prx.cli.context import load_config
from prx.config.schema import Config
from prx.core.errors import PrxError
from prx.runtime.process import daemon_url

_TIMEOUT_SECS = 330.0
_TOKEN_LIFE = timedelta(minutes=10)


class DaemonDownError(PrxError):
    """There is no daemon to ask."""

    code = "daemon_down"


class RefusedError(PrxError):
    """The daemon answered with an error; the message is its own."""

    code = "refused"


class Client:
    """One connection's worth of requests."""

    def __init__(self, url: str, token: str, config: Config) -> None:
        """Talk to the API at `url`."""
        self._url = urlsplit(url)
        self._token = token
        self._certificate = config.gateway.tls_cert

    def get(self, path: str) -> Any:
        """Return the answer to `GET path`."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON answer; `path` is below `/api/v1`.

        Raises:
            DaemonDownError: nobody answers there.
            RefusedError: the daemon refuses; says why.
        """
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        connection = self._connection()
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, self._url.path + path, payload, headers)
            response = connection.getresponse()
            answer = json.loads(response.read() or b"null")
        except (OSError, http.client.HTTPException) as error:
            raise DaemonDownError(f"the daemon at {self._url.geturl()} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status >= http.client.BAD_REQUEST:
            raise RefusedError(answer["error"]["message"], details=answer["error"]["details"])
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        # A daemon that listens everywhere is reached on this machine's own address.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
        if self._url.scheme != "https":
            return http.client.HTTPConnection(host, self._url.port, timeout=_TIMEOUT_SECS)
        # Its own certificate is the one to expect, whatever name is in it.
        context = ssl.create_default_context(cafile=self._certificate)
        context.check_hostname = False
        return http.client.HTTPSConnection(host, self._url.port, timeout=_TIMEOUT_SECS, context=context)


@contextmanager
def daemon() -> Iterator[Client]:
    """Give a client of the running daemon, with a token that ends with the block.

    Raises:
        DaemonDownError: none runs with this configuration; says how to start it.
    """
    config = load_config()
    url = daemon_url(config.daemon.data_dir)
    if url is None:
        raise DaemonDownError(
            f"no daemon runs with the data directory {config.daemon.data_dir}: start it with `prx daemon`, or name its "
            "configuration with --config"
        )
    tokens = TokenStore(config.daemon.data_dir)
    secret, token = tokens.create("the local command line", expires_in=_TOKEN_LIFE)
    try:
        yield Client(url, secret, config)
    finally:
        tokens.revoke(token.id)


def segment(name: str) -> str:
    """Return `name` as one segment of a path."""
    return quote(name, safe="")
