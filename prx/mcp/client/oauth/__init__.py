"""Logging in to MCP servers over HTTP with OAuth: as a user, with `prx mcp login`, or as a client of its own."""
