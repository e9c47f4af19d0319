"""Measuring contenders side by side: in turn within each round, so that what disturbs one disturbs all."""

import gc
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

Measure = Callable[[], float]
_Name = TypeVar("_Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Series:
    """What one contender reached, round by round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of all rounds."""
        return median(self.values)

    def over(self, reference: "Series") -> float:
        """Return how many times the reference it is: the median of each round's own ratio."""
        return median(mine / its for mine, its in zip(self.values, reference.values, strict=True))


def alternate(contenders: Mapping[_Name, Measure], rounds: int) -> dict[_Name, Series]:
    """Measure every contender once in each round, beginning with another one each time."""
    names = list(contenders)
    values: dict[_Name, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            values[name].append(contenders[name]())
    return {name: Series(tuple(series)) for name, series in values.items()}


def microseconds_each(work: Callable[[], object], times: int) -> Measure:
    """Return a measure of one `work`, averaged over `times` in a row, garbage collected before."""

    def measure() -> float:
        gc.collect()
        began = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - began) / times * 1e6

    return measure
