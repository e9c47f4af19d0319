"""What `/status` says of a hook that does not get its events."""

import re

import pytest

from prx.webhooks.hook import Failing, Fault, Hook
from prx.webhooks.troubles import failing_problem, problems_of

SINCE = "2026-11-25T22:28:30.283Z"


def hook(origin: str = "api") -> Hook:
    return Hook(1, "hook_1", "https://example.com", ("*",), origin, SINCE, active=True)  # type: ignore[arg-type]


def test_two_failures_in_a_row_are_a_hiccup_and_three_are_a_problem() -> None:
    assert failing_problem(hook(), Failing(2, SINCE, "it answered 503"), 0) is None
    problem = failing_problem(hook(), Failing(3, SINCE, "it answered 503"), 4_000_000_000_000)
    assert problem is not None
    assert problem.reason == (
        "its events wait: 3 attempts failed, one after the other; it is tried again at 2096-10-02T07:06:40.000Z; "
        "the last one: it answered 503"
    )


def test_but_for_its_numbers_a_problem_stays_the_same_while_the_next_attempt_is_made() -> None:
    problems = [failing_problem(hook(), Failing(9, SINCE, "why"), due) for due in (0, 4_000_000_000_000)]
    assert len({re.sub(r"\d", "0", problem.reason) for problem in problems if problem is not None}) == 1


@pytest.mark.parametrize(
    ("origin", "has_key", "helps"),
    [
        ("api", True, "have another secret made with `prx hook rotate hook_1`"),
        ("config", True, "set another secret in the configuration"),
        ("api", False, "do what the reason says"),
        ("config", False, "do what the reason says"),
    ],
)
def test_what_is_to_be_done_about_a_lost_secret_can_be_done(origin: str, has_key: bool, helps: str) -> None:  # noqa: FBT001
    (problem,) = problems_of(hook(origin), Fault("cannot be read", has_key), None)
    assert problem.action == f"restore secrets.key from a backup and restart the daemon, or {helps}"
