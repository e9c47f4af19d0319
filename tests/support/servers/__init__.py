"""Real servers of chat platforms: each a process group on a loopback port of its own, in a directory of its own."""
