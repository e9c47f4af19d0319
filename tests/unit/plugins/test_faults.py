"""How a guest's end is told: one stable code, one sentence."""

import pytest

from prx.plugins.calls import GuestError
from prx.plugins.faults import guest_error, stopped
from tests.support.calls import call_of

MIB = 1024 * 1024
UNREACHABLE = (
    "error while executing\n    0: x\n\nCaused by:\n    wasm trap: wasm `unreachable` instruction executed"
)


def told(
    message: str,
    *,
    status: int | None = None,
    stderr: bytes = b"",
    peak: int = 0,
    failure: GuestError | None = None,
) -> tuple[str, str]:
    call = call_of(max_memory_bytes=64 * MIB, max_execution_secs=1.5, max_fuel=1000)
    call.stderr, call.peak_memory_bytes, call.failure = stderr, peak, failure
    error = guest_error((message, status), call, call.limits)
    return error.code, error.message


@pytest.mark.parametrize(
    ("cause", "code", "sentence"),
    [
        (
            "all fuel consumed by WebAssembly",
            "out_of_fuel",
            "the call used up its 1000 units of fuel (max_fuel)",
        ),
        ("wasm trap: call stack exhausted", "stack_overflow", "the guest's call stack is exhausted"),
        (
            "memory minimum size of 9 pages exceeds memory limits",
            "out_of_memory",
            "more than its 64 MiB of memory",
        ),
        ("table minimum size of 9 elements exceeds table limits", "out_of_memory", "larger tables"),
        ("resource limit exceeded: memory count too high at 2", "out_of_memory", "several linear memories"),
        ("resource limit exceeded: instance count too high at 65", "out_of_memory", "more parts"),
        (
            "fuel allocated for hostcalls has been exhausted",
            "output_too_large",
            "more at once than the host takes",
        ),
        ("wasm trap: out of bounds memory access", "trap", "the guest trapped: out of bounds memory access"),
        ("wasm trap: integer divide by zero", "trap", "the guest trapped: integer divide by zero"),
        ("cannot enter component instance", "trap", "the guest trapped: cannot enter component instance"),
    ],
)
@pytest.mark.parametrize(
    "around",
    ["{}", "error while executing\n\nCaused by:\n    {}", "outer\n\nCaused by:\n    0: middle\n    1: {}\n"],
)
def test_the_last_cause_decides(cause: str, code: str, sentence: str, around: str) -> None:
    found = told(around.format(cause))
    assert found[0] == code
    assert sentence in found[1]


def test_what_a_host_function_stashed_comes_first() -> None:
    denied = GuestError("permission_denied", "no")
    assert told("host function refused", failure=denied) == ("permission_denied", "no")


def test_an_exit_is_a_trap_with_its_status() -> None:
    assert told("exited", status=3) == ("trap", "the guest exited with status 3")


def test_the_last_words_on_stderr_are_told() -> None:
    code, message = told(UNREACHABLE, stderr=b"Traceback\nValueError: caf\xe9\n")
    assert code == "trap"
    assert message.endswith("its last words on stderr: Traceback\nValueError: caf\ufffd")


@pytest.mark.parametrize(
    "words", [b"memory allocation of 9 bytes failed", b"MemoryError", b"fatal runtime error: out of memory"]
)
def test_an_allocators_last_words_are_out_of_memory(words: bytes) -> None:
    assert told(UNREACHABLE, stderr=words) == (
        "out_of_memory",
        "the guest needs more than its 64 MiB of memory (max_memory_mb)",
    )


@pytest.mark.parametrize(
    ("message", "stderr", "mebibytes", "code"),
    [
        (UNREACHABLE, b"", 33, "out_of_memory"),
        (UNREACHABLE, b"", 32, "trap"),
        (UNREACHABLE, b"assertion failed", 60, "trap"),
        ("wasm trap: out of bounds memory access", b"", 60, "trap"),
    ],
)
def test_a_silent_stop_with_much_memory_is_out_of_memory(
    message: str, stderr: bytes, mebibytes: int, code: str
) -> None:
    assert told(message, stderr=stderr, peak=mebibytes * MIB)[0] == code


def test_what_the_linker_misses_is_named() -> None:
    missing = (
        "component imports instance `wasi:random/random@0.2.0`, but a matching implementation was not found"
    )
    causes = "0: instance export `nope` has the wrong type\n    1: function implementation is missing\n"
    code, message = told(f"{missing}\n\nCaused by:\n    {causes}")
    assert code == "host_error"
    reasons = "instance export `nope` has the wrong type; function implementation is missing"
    assert message == f"{missing} ({reasons}): rebuild against the WIT files of WASI 0.2"


@pytest.mark.parametrize("message", ["", "\n\n", "Caused by:"])
def test_an_engine_without_words_is_a_trap(message: str) -> None:
    assert told(message)[0] == "trap"


def test_a_call_that_the_host_stops_is_over_time_or_cancelled() -> None:
    call = call_of(max_execution_secs=1.5)
    error = stopped(call)
    assert (error.code, error.message) == (
        "timeout", "the call ran longer than its limit of 1500 ms (max_execution_time_ms)",
    )  # fmt: skip
    call.interrupt()
    assert stopped(call).code == "cancelled"
