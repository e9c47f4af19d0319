"""What the agent works with."""
