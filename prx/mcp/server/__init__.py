"""PRX as an MCP server: `/mcp` on the daemon's port. Only what a first request asks for imports the SDK."""
