"""The way out: every HTTP request that leaves on somebody else's behalf is checked and bounded here."""
