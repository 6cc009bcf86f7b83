"""From the start of the daemon's process to its first 200, and its memory, beside a bare FastAPI application.

The starts alternate, with a warm file cache; memory is read when the process has settled.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from drivers.virtual.pty import PtyPresenter
from tests.bench.figures import heading, line, passes
from tests.bench.processes import free_port, memory_mib, running
from tests.bench.site import Load, command, prepare

SETTLE_S = 1.0
RATIO_AIM = 2
MEMORY_AIM_MIB = 120


def measure(cache: Path, load: Load, starts: int) -> None:
    """Print start times, their ratio and the memory of both, over `starts` starts of each after one unmeasured."""
    heading(f"start: {load}")
    rows: dict[str, list[tuple[float, float, float]]] = {"bare FastAPI": [], "terminal": []}
    reader = PtyPresenter()
    with tempfile.TemporaryDirectory(dir=cache) as root:
        settings, port = prepare(Path(root), cache, load, str(reader.device))
        bare_port = free_port()
        bare = [sys.executable, "-m", "tests.bench.yardsticks", str(bare_port)]
        for number in range(starts + 1):
            for name, (arguments, where) in zip(rows, ((bare, bare_port), (command(settings), port)), strict=True):
                with running(arguments, where) as (process, seconds):
                    time.sleep(SETTLE_S)
                    if number:
                        rows[name].append((seconds, *memory_mib(process.pid)))
    reader.unplug()
    for name, measured in rows.items():
        start_s, rss, pss = zip(*measured, strict=True)
        line(f"{name}: start to first 200", passes(start_s, "s", 3))
        line(f"{name}: RSS", passes(rss, "MiB", 1), f"PSS {passes(pss, 'MiB', 1)}")
    ratio = statistics.median(row[0] for row in rows["terminal"]) / statistics.median(
        r[0] for r in rows["bare FastAPI"]
    )
    line("terminal to bare", f"{ratio:.2f}", f"aims: {RATIO_AIM} times, under {MEMORY_AIM_MIB} MiB")
