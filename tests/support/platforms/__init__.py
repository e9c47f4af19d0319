"""Chat platforms that have no server to install: emulators on loopback, which unmodified clients of others accept."""
