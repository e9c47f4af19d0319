"""What no log line shows, wherever it turns up."""

from collections.abc import Iterator

from prx.agent.providers.endpoints import keys_of
from prx.config.schema import Config
from prx.config.secret_values import secret_values


def secrets_of(config: Config) -> Iterator[str]:
    """Yield the secrets that a configuration holds, and those that it has parts take from the environment."""
    yield from secret_values(config)
    yield from keys_of(config)
