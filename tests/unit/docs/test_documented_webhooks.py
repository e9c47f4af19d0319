"""`docs/webhooks.md` names the events that there are."""

import re

from prx.core.webhook import ALIASES, ALL, EVENTS
from tests.unit.docs.documents import DOCS, sections


def test_every_event_is_documented_and_every_documented_one_exists() -> None:
    table = sections((DOCS / "webhooks.md").read_text(), 2)["Events"]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    named = re.findall(r"`([a-z.*]+)`", "".join(rows))
    assert set(named) - {"reason", "unit", "since", "action"} == {*EVENTS, *ALIASES, ALL}
