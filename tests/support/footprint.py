"""What this process holds: memory, descriptors, threads, mappings and objects of the daemon's own types."""

import gc
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import open_descriptors


@dataclass(frozen=True, slots=True)
class Footprint:
    """One measurement."""

    pss_kib: int
    """Memory of this process alone, with its share of what others map too."""
    descriptors: int
    threads: int
    mappings: int
    objects: dict[str, int]
    """How many objects of each class of `prx` are alive."""

    def grown_objects(self, since: "Footprint", tolerance: int) -> dict[str, int]:
        """Return by how many each class has grown, where that is more than `tolerance`."""
        grown = {name: count - since.objects.get(name, 0) for name, count in self.objects.items()}
        return {name: more for name, more in grown.items() if more > tolerance}


def footprint() -> Footprint:
    """Measure, after what nobody needs any more is collected."""
    gc.collect()
    classes = Counter(type(item) for item in gc.get_objects())
    rollup = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return Footprint(
        pss_kib=next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")),
        descriptors=open_descriptors(),
        threads=threading.active_count(),
        mappings=len(Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()),
        objects={
            f"{cls.__module__}.{cls.__qualname__}": count
            for cls, count in classes.items()
            if str(cls.__module__).startswith("prx.")
        },
    )
