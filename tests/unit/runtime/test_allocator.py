"""Memory that was freed goes back to the system."""

import subprocess
import sys

_USE_AND_FREE = """
import sys, threading
from tests.support.processes import resident_mebibytes
from prx.runtime.allocator import keep_little_freed_memory
if sys.argv[1] == "set":
    keep_little_freed_memory()

def use():
    # As an engine does that lifts a growing result; the larger ones raise what is kept of the smaller ones.
    for size in range(1, 31):
        blocks = [bytes(size << 20) for _ in range(4)]
    blocks = [bytes(900_000) for _ in range(60)]

threads = [threading.Thread(target=use) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident_mebibytes())
"""


def _left_behind(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _USE_AND_FREE, how], capture_output=True, check=True, text=True
    )
    return int(done.stdout)


def test_what_threads_freed_is_not_kept() -> None:
    kept = _left_behind("set")
    assert kept < 40
    assert kept < _left_behind("as it is") / 2
