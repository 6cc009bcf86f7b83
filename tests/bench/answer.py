"""From a card's last byte to the answer on the page: a real daemon, its serial port, a client of its live events.

The clock starts just before the write that carries the swipe's last byte, and stops when the client has the whole
`presentation` event. CLOCK_MONOTONIC is one clock for all processes of a machine.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.bench.figures import Spread, heading, line
from tests.bench.site import CARDS, Load, bench_card, measured_terminal

WARM_UP = 20
AIM_MS = 20


def measure(cache: Path, load: Load, rounds: int) -> None:
    """Print the answer's time for `rounds` swipes, each of another card than the one before."""
    heading(f"answer: {load}")
    times_ms: list[float] = []
    with (
        tempfile.TemporaryDirectory(dir=cache) as root,
        measured_terminal(Path(root), cache, load) as (reader, till),
        till.events() as events,
    ):
        events.next("presentation")  # the greeting
        for number in range(WARM_UP + rounds):
            frame = reader.frame_of(bench_card(number % CARDS))
            reader.send(frame[:-1])
            sent_ns = time.monotonic_ns()
            reader.send(frame[-1:])
            heard_ns, told = events.next("presentation")
            assert told["eligible"] == ["film"], told
            if number >= WARM_UP:
                times_ms.append((heard_ns - sent_ns) / 1e6)
    spread = Spread.of(times_ms)
    line("last byte to the event at the page", spread, f"aim: under {AIM_MS} ms; slowest {max(times_ms):.3f} ms")
