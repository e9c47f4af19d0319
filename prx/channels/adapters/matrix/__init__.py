"""Matrix, by way of matrix-nio; encrypted rooms, too."""

from prx.channels.adapters.matrix.adapter import MatrixAdapter
from prx.config.platforms.matrix import MatrixConfig


def connect(_name: str, config: MatrixConfig) -> MatrixAdapter:
    """Make the adapter of a channel, for one life."""
    return MatrixAdapter(config)
