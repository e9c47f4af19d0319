"""How a guest's end is told: from the engine's words to one stable code and one helpful sentence."""

from prx.plugins.calls import Call, GuestError, Limits

_MIB = 1024 * 1024

_TRAPS = {
    "call stack exhausted": ("stack_overflow", "the guest's call stack is exhausted: it recurses too deeply"),
    "exceeds memory limits": ("out_of_memory", ""),
    "exceeds table limits": ("out_of_memory", "the guest needs larger tables than this host gives it"),
    "memory count too high": (
        "out_of_memory",
        "the component has several linear memories and this host gives it one: it must not be composed of others",
    ),
    "resource limit exceeded": (
        "out_of_memory",
        "the component is made of more parts than this host gives it",
    ),
    "fuel allocated for hostcalls": (
        "output_too_large",
        "the guest hands over more at once than the host takes (docs/plugins.md#limits)",
    ),
    "all fuel consumed": ("out_of_fuel", ""),
}

# What the allocators of common guests write before they give up.
_OUT_OF_MEMORY_MARKS = (b"memory allocation of", b"MemoryError", b"out of memory")
_UNLINKED = "matching implementation was not found"


def guest_error(engine_error: tuple[str, int | None], call: Call, limits: Limits) -> GuestError:
    """Classify the failure of `call`; what a host function stashed comes before anything the engine says."""
    if call.failure is not None:
        return call.failure
    message, exit_status = engine_error
    if _UNLINKED in message:
        return GuestError("host_error", _unlinked(message))
    if exit_status is not None:
        return GuestError("trap", _with_stderr(f"the guest exited with status {exit_status}", call))
    cause = _cause(message)
    for mark, (code, text) in _TRAPS.items():
        if mark in cause:
            return GuestError(code, text or _limit_text(code, limits))
    if _ran_out_of_memory(cause, call, limits):
        return GuestError("out_of_memory", _limit_text("out_of_memory", limits))
    reason = cause.removeprefix("wasm trap: ")
    return GuestError("trap", _with_stderr(f"the guest trapped: {reason}", call))


def stopped(call: Call) -> GuestError:
    """Return how a call ends that the host stops: nobody wants its result any more, or its time is over."""
    if call.interrupted:
        return GuestError("cancelled", "the call was cancelled")
    limit_ms = call.limits.max_execution_secs * 1000
    return GuestError(
        "timeout", f"the call ran longer than its limit of {limit_ms:.0f} ms (max_execution_time_ms)"
    )


def too_large(size: int, limits: Limits) -> GuestError:
    """Tell that what the guest returned is more than it may."""
    limit = f"its limit is {limits.max_output_bytes} (max_output_kb)"
    return GuestError("output_too_large", f"the guest returned {size} bytes, {limit}")


def _cause(message: str) -> str:
    # wasmtime prints the chain outermost first; the last "Caused by" line is the reason itself.
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    last = lines[-1] if lines else message
    number, _, rest = last.partition(": ")
    return rest if number.isdecimal() else last


def _ran_out_of_memory(cause: str, call: Call, limits: Limits) -> bool:
    if any(mark in call.stderr for mark in _OUT_OF_MEMORY_MARKS):
        return True
    # A refused growth only answers -1 in the guest, and most guests then stop in `unreachable` without a word. What
    # tells it from another stop is how much they held: growing by half or to the double, more than half of the limit.
    return (
        "unreachable" in cause
        and not call.stderr.strip()
        and call.peak_memory_bytes > limits.max_memory_bytes / 2
    )


def _unlinked(message: str) -> str:
    first, *rest = [line.strip() for line in message.splitlines() if line.strip() and "Caused by" not in line]
    reasons = "; ".join(line.partition(": ")[2] for line in rest)
    return f"{first} ({reasons}): rebuild against the WIT files of WASI 0.2"


def _limit_text(code: str, limits: Limits) -> str:
    if code == "out_of_fuel":
        return f"the call used up its {limits.max_fuel} units of fuel (max_fuel)"
    return f"the guest needs more than its {limits.max_memory_bytes // _MIB} MiB of memory (max_memory_mb)"


def _with_stderr(text: str, call: Call) -> str:
    tail = call.stderr.decode("utf-8", "replace").strip()
    return f"{text}; its last words on stderr: {tail}" if tail else text
