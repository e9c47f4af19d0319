"""MCP servers as supervised units, and their tools."""
