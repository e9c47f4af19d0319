"""What waits for its turn: in order, bounded, and fair."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from prx.agent.mailboxes import MAX_WAITING, MAX_WAITING_IN_ALL, Mailboxes
from prx.core.errors import UnavailableError

SESSIONS = st.sampled_from(["a", "b", "c"])


class Waiting(RuleBasedStateMachine):
    """Mailboxes beside a model that is plain lists."""

    busy = Bundle("busy")

    @initialize()
    def begin(self) -> None:
        self.boxes: Mailboxes[tuple[str, int]] = Mailboxes()
        self.waiting: dict[str, list[tuple[str, int]]] = {"a": [], "b": [], "c": []}
        self.reserved = dict.fromkeys("abc", 0)
        self.running: set[str] = set()
        self.number = 0
        self.passed_over = dict.fromkeys("abc", 0)

    @rule(session=SESSIONS)
    def reserve(self, session: str) -> None:
        if self.reserved[session] + len(self.waiting[session]) < MAX_WAITING:
            self.boxes.reserve(session)
            self.reserved[session] += 1
        else:
            with pytest.raises(UnavailableError):
                self.boxes.reserve(session)

    @rule(session=SESSIONS, comes=st.booleans())
    def put(self, session: str, comes: bool) -> None:  # noqa: FBT001  # a strategy's value
        if not self.reserved[session]:
            return
        self.reserved[session] -= 1
        if comes:
            self.number += 1
            self.waiting[session].append((session, self.number))
            self.boxes.put(session, (session, self.number))
        else:
            self.boxes.give_up(session)

    @rule(target=busy)
    def take(self) -> str | None:
        may = [
            session for session, waiting in self.waiting.items() if waiting and session not in self.running
        ]
        item = self.boxes.take()
        assert (item is None) == (not may)
        if item is None:
            return None
        session = item[0]
        assert session in may
        assert item == self.waiting[session].pop(0)
        for other in may:
            self.passed_over[other] = 0 if other == session else self.passed_over[other] + 1
            # Nobody has to wait for more than one turn of each other session.
            assert self.passed_over[other] < len(self.waiting)
        self.running.add(session)
        return session

    @rule(session=consumes(busy))
    def done(self, session: str | None) -> None:
        if session is not None:
            self.running.discard(session)
            self.boxes.done(session)
            self.passed_over[session] = 0

    @rule(session=SESSIONS, number=st.integers(0, 60))
    def withdraw(self, session: str, number: int) -> None:
        taken = self.boxes.withdraw(session, lambda item: item[1] <= number)
        assert taken == [item for item in self.waiting[session] if item[1] <= number]
        self.waiting[session] = [item for item in self.waiting[session] if item[1] > number]
        if not self.waiting[session]:
            self.passed_over[session] = 0

    @invariant()
    def as_many_wait_as_were_put(self) -> None:
        assert len(self.boxes) == sum(map(len, self.waiting.values())) + sum(self.reserved.values())


TestWaiting = Waiting.TestCase


def test_over_all_sessions_only_so_many_may_wait() -> None:
    boxes: Mailboxes[int] = Mailboxes()
    for number in range(MAX_WAITING_IN_ALL):
        boxes.reserve(f"session {number // MAX_WAITING}")
    with pytest.raises(UnavailableError, match="over all sessions"):
        boxes.reserve("another")
    boxes.give_up("session 0")
    boxes.reserve("another")


@given(st.lists(st.sampled_from("abcdef"), max_size=90))
def test_a_session_that_says_much_does_not_hold_up_the_others(said: list[str]) -> None:
    boxes: Mailboxes[str] = Mailboxes()
    for session in said:
        if said.count(session) <= MAX_WAITING:
            boxes.reserve(session)
            boxes.put(session, session)
    order = []
    while (session := boxes.take()) is not None:
        order.append(session)
        boxes.done(session)
    # Whoever has anything to say says the first thing before anybody says a second one, and so on.
    rounds = [order[: position + 1].count(session) for position, session in enumerate(order)]
    assert rounds == sorted(rounds)
    assert len(boxes) == 0
