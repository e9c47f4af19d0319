"""Matrix, by way of matrix-nio; encrypted rooms, too."""

from prx.channels.adapters.matrix.adapter import MatrixAdapter
from prx.config.platforms.matrix import MatrixConfig
from prx.runtime.logging import quieten

# Together they log each event of each room, and at the level debug messages and the keys of rooms.
quieten("nio", "peewee")


def connect(_name: str, config: MatrixConfig) -> MatrixAdapter:
    """Make the adapter of a channel, for one life."""
    return MatrixAdapter(config)
