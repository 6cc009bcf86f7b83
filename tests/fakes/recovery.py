"""How long faults took to be over: shown in the test's report (`pytest -rP`) and held against the promise."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

RECOVERY_P95_S = 3.0  # docs: every reader fault is over within this


def report_recoveries(took_s: Sequence[float], what: str) -> None:
    """Show the median and the 95th percentile, and assert that the latter keeps the promise."""
    twentieths = statistics.quantiles(took_s, n=20, method="inclusive")
    p50_s, p95_s = twentieths[9], twentieths[18]
    print(f"{len(took_s)} {what}: recovery p50 {p50_s:.2f} s, p95 {p95_s:.2f} s, longest {max(took_s):.2f} s")
    assert p95_s < RECOVERY_P95_S
