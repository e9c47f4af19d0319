"""The platforms that are tested against real servers: a server, and somebody on it."""
