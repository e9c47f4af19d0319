"""What every part stands on: supervisor, tool router, store, status, logging."""
