"""PRX: a daemon that hosts WebAssembly plugins for AI agents."""

from importlib.metadata import version

__version__ = version("prx")
