"""What guests may call: `prx:host` and WASI, gated and metered in one place."""
