"""How measured times are told: medians with their spread, and ratios to what the same run's limit was."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds: the median and the 5th and 95th percentile."""

    p5: float
    p50: float
    p95: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Spread:
        """From at least two measurements."""
        cuts = statistics.quantiles(times_ms, n=20, method="inclusive")
        return cls(cuts[0], statistics.median(times_ms), cuts[-1])

    def __str__(self) -> str:
        return f"{self.p50:.3f} ms [{self.p5:.3f}-{self.p95:.3f}]"


def percentile(times_ms: Sequence[float], hundredth: int) -> float:
    """Of at least two measurements; with few of them nearly the slowest."""
    return statistics.quantiles(times_ms, n=100, method="inclusive")[hundredth - 1]


def passes(values: Sequence[float], unit: str, digits: int) -> str:
    """A few passes' median, smallest and largest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} {unit} [{low:.{digits}f}-{high:.{digits}f}]"


def heading(text: str) -> None:
    """A part begins."""
    print(f"\n{text}", flush=True)


def line(name: str, value: object, note: str = "") -> None:
    """One figure."""
    print(f"  {name:44} {value!s:34} {note}".rstrip(), flush=True)
