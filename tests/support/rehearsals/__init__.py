"""The platforms that are tested against real servers or emulators: one of them, and somebody on it."""
