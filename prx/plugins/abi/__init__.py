"""WIT values across the wasmtime C API: types, their JSON Schema, and compiled converters both ways."""
