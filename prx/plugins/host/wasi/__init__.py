"""WASI 0.2 for components that import `wasi:http`: requests through the host's guard, and the streams that go with it.

wasmtime's own `wasi:http` has no filter, and its streams and pollables cannot be made from outside. So these components
get everything that hands out one from here; what hands out neither (random numbers, the wall clock, the environment,
exit) stays wasmtime's.
"""
