"""The ring in memory: bounded, looked into from anywhere, and exact about what has gone."""

from hypothesis import given
from hypothesis import strategies as st

from prx.core.levels import LogLevel
from prx.runtime.logs.query import LogQuery
from prx.runtime.logs.ring import LogRing
from tests.support.log_lines import line, messages

LEVELS: list[LogLevel] = ["debug", "error"]


def test_it_keeps_the_newest_lines_and_knows_behind_which_one() -> None:
    ring = LogRing(5, max_lines=3)
    assert (ring.floor, ring.last_seq, ring.after(0)) == (5, 5, [])
    lines = [line(number) for number in range(10)]
    for each in lines:
        ring.append(each)
    assert ring.after(0) == lines[-3:]
    assert ring.after(lines[-2].seq) == lines[-1:]
    assert ring.after(ring.last_seq) == []
    assert ring.floor == lines[-4].seq


def test_it_is_bounded_in_bytes_too() -> None:
    ring = LogRing(0, max_bytes=1000)
    for number in range(5):
        ring.append(line(number, "x" * 300))
    assert len(ring.after(0)) == 2
    ring.append(line(6, "x" * 2000))
    assert ring.after(0) == []
    assert ring.last_seq == ring.floor == line(6).seq


@given(
    st.lists(st.tuples(st.sampled_from(LEVELS), st.sampled_from(["a", "a::b", "ab"]))),
    st.integers(1, 8),
    st.integers(-1, 40),
    st.integers(1, 5),
)
def test_it_finds_and_counts_as_a_list_does(
    keys: list[tuple[LogLevel, str]], size: int, after: int, most: int
) -> None:
    ring = LogRing(0, max_lines=size)
    lines = [line(number, level=level, module=module) for number, (level, module) in enumerate(keys)]
    for each in lines:
        ring.append(each)
    seq = line(after).seq
    kept = lines[-size:]
    assert messages(ring.after(seq, most)) == messages([each for each in kept if each.seq > seq][:most])
    wants = LogQuery(level="error", module="a").keys()
    gone = sum(wants(each.key) for each in lines[:-size])
    passed = sum(wants(each.key) for each in kept if each.seq <= seq)
    assert ring.count_to(seq, wants) == gone + passed
