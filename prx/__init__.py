"""PRX: a daemon that hosts WebAssembly plugins for AI agents."""

__version__ = "0.1.0"
