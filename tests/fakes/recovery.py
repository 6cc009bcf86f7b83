"""How long faults took to be over, written into the test's report and held against the promise."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

RECOVERY_P95_S = 3.0  # docs: every reader fault is over within this


def record_recoveries(took_s: Sequence[float], record_property: Callable[[str, object], None]) -> None:
    """Write down the median and the 95th percentile, and assert that the latter keeps the promise."""
    twentieths = statistics.quantiles(took_s, n=20, method="inclusive")
    p50_s, p95_s = twentieths[9], twentieths[18]
    record_property("recovery p50 s", round(p50_s, 2))
    record_property("recovery p95 s", round(p95_s, 2))
    print(f"recovery of {len(took_s)}: p50 {p50_s:.2f} s, p95 {p95_s:.2f} s, longest {max(took_s):.2f} s")
    assert p95_s < RECOVERY_P95_S
