"""The plugin host: the only package that imports `wasmtime`."""
