"""MCP servers that the daemon connects to: units, tools, lists. Only `life`, `connection` and `stdio` load the SDK."""
