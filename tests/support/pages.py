"""What of this process is in memory."""

from pathlib import Path


def resident_code_kib(of: str = "") -> int:
    """Return how much machine code of the files whose path contains `of` is in memory."""
    total = 0
    counting = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if not fields[0].endswith(":"):
            counting = fields[1] == "r-xp" and of in line
        elif counting and fields[0] == "Rss:":
            total += int(fields[1])
    return total
