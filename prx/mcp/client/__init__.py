"""MCP servers that the daemon connects to: units, tools, lists. Only what a unit's life imports loads the SDK."""
