"""The gate that refuses a plugin which keeps failing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from prx.core.errors import ConflictError
from prx.core.ids import now_utc
from prx.core.tool import ToolFailure
from prx.plugins.quarantine import Quarantine, Sentence

TRAP = ToolFailure("trap", "the guest trapped")
TOOL_ERROR = ToolFailure("tool_error", "no such city")


def gate() -> tuple[Quarantine, list[str]]:
    changes: list[str] = []
    return (
        Quarantine(
            "weather",
            lambda _gate: changes.append("changed"),
            lambda _gate, failure: changes.append(failure.code),
        ),
        changes,
    )


def fail(quarantine: Quarantine, times: int, failure: ToolFailure = TRAP) -> None:
    for _ in range(times):
        quarantine.settle(quarantine.admit(), failure)


def served(quarantine: Quarantine) -> Sentence:
    """Return the sentence with its pause over, as the gate's own."""
    assert quarantine.sentence is not None
    quarantine.restore(replace(quarantine.sentence, until=now_utc() - timedelta(seconds=1)))
    assert quarantine.sentence is not None
    return quarantine.sentence


def test_the_fifth_failure_in_a_minute_closes_the_gate_and_says_why() -> None:
    quarantine, changes = gate()
    fail(quarantine, 4)
    assert quarantine.sentence is None
    fail(quarantine, 1)
    with pytest.raises(ConflictError, match="5 calls failed within 60 s, the last one: the guest trapped"):
        quarantine.admit()
    assert changes == ["trap", "trap", "trap", "trap", "changed"]


def test_a_tools_own_errors_and_successes_do_not_count() -> None:
    quarantine, _ = gate()
    fail(quarantine, 20, TOOL_ERROR)
    fail(quarantine, 4)
    quarantine.settle(quarantine.admit(), None)
    assert quarantine.sentence is None


def test_after_the_pause_one_call_is_let_through_at_a_time() -> None:
    quarantine, _ = gate()
    fail(quarantine, 5)
    served(quarantine)
    quarantine.admit()
    with pytest.raises(ConflictError):
        quarantine.admit()


def test_a_probe_that_succeeds_opens_the_gate() -> None:
    quarantine, changes = gate()
    fail(quarantine, 5)
    served(quarantine)
    quarantine.settle(quarantine.admit(), None)
    quarantine.admit()
    assert quarantine.sentence is None
    assert changes[4:] == ["changed", "changed"]


def test_each_probe_that_fails_doubles_the_pause_up_to_an_hour() -> None:
    quarantine, _ = gate()
    fail(quarantine, 5)
    pauses = []
    for _ in range(9):
        served(quarantine)
        before = now_utc()
        fail(quarantine, 1)
        assert quarantine.sentence is not None
        pauses.append(round((quarantine.sentence.until - before).total_seconds(), -1))
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_a_probe_that_never_ran_leaves_room_for_another() -> None:
    quarantine, _ = gate()
    fail(quarantine, 5)
    served(quarantine)
    quarantine.abandon(quarantine.admit())
    quarantine.admit()


@pytest.mark.parametrize("failure", [None, TRAP, TOOL_ERROR])
def test_a_call_from_before_the_quarantine_that_ends_during_a_probe_decides_nothing(
    failure: ToolFailure | None,
) -> None:
    quarantine, _ = gate()
    early, cut_off = quarantine.admit(), quarantine.admit()
    fail(quarantine, 5)
    sentence = served(quarantine)
    probe = quarantine.admit()
    quarantine.settle(early, failure)
    quarantine.abandon(cut_off)
    assert quarantine.sentence is sentence
    with pytest.raises(ConflictError):
        quarantine.admit()
    quarantine.settle(probe, None)
    assert quarantine.sentence is None


def test_a_probe_that_ends_after_the_operator_ended_the_quarantine_counts_as_any_call() -> None:
    quarantine, _ = gate()
    fail(quarantine, 5)
    served(quarantine)
    probe = quarantine.admit()
    quarantine.release()
    quarantine.settle(probe, TRAP)
    fail(quarantine, 3)
    assert quarantine.sentence is None
    fail(quarantine, 1)
    assert quarantine.sentence is not None


def test_the_operator_ends_it() -> None:
    quarantine, _ = gate()
    fail(quarantine, 5)
    quarantine.release()
    quarantine.admit()
    fail(quarantine, 3)
    assert quarantine.sentence is None
