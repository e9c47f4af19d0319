"""The one TLS context of everything that is asked of MCP servers and about them."""

import ssl
from functools import cache


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context; making one takes 20 ms and 790 KiB, so do it in a thread."""
    return ssl.create_default_context()
