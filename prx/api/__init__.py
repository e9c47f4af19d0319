"""The REST sub-app at `/api/v1`. It reads the runtime and asks it to act; it holds no state of its own."""
