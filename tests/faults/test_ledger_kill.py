"""Kill -9 at random moments: what was acknowledged is there, the chain is whole, the next start needs no help."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from terminal.ledger.ledger import Ledger
from terminal.ledger.verify import verify
from tests.fakes.clock import SteppedClock

KILLS = int(os.environ.get("LEDGER_KILLS", "40"))  # some ten seconds; a soak run asks for more
ACKNOWLEDGED_BEFORE_KILL_MAX = 25
STEP_MS_MAX = 2.0  # a kill lands anywhere within about two steps after the last acknowledgement

# The nursery has everything imported and forks a seller for each line it reads, so that 40 starts cost no 40 imports.
# A seller acknowledges by one short line per durable step, written at once: a line in the pipe survives the kill.
NURSERY = """
import os, sys
from pathlib import Path
from terminal.ledger.clock import SystemClock
from terminal.ledger.ledger import Ledger
from tests.fakes.sales import sale

def sell(path):
    ledger = Ledger.open(path, "T1", SystemClock())
    number = 0
    while True:
        number += 1
        steps = [lambda: ledger.authorise(asked), lambda: ledger.complete(asked.id, "c01")]
        if number % 3 == 0:
            steps[1] = lambda: ledger.cancel(asked.id, "system", "timeout")
        if number % 4 == 0 and number % 3:
            steps.append(lambda: ledger.void(asked.id, "m01", "wrong", 1))
        asked = sale(number * 1000 + os.getpid())
        for step in steps:
            done = step()
            os.write(1, f"{done.id} {done.last_sequence} {done.state} {done.voided_units}\\n".encode())

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sell(Path(sys.argv[1]))
    os.write(1, f"pid {child}\\n".encode())
    os.waitpid(child, 0)
    os.write(1, b"gone\\n")
"""


@contextmanager
def nursery(path: Path) -> Iterator[tuple[IO[str], IO[str]]]:
    """A process that forks a seller for each line it is sent: (its input, its output)."""
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def life_and_death(orders: IO[str], answers: IO[str], chance: random.Random) -> list[str]:
    """Start one seller, kill it at a random moment; the lines it had acknowledged."""
    orders.write("sell\n")
    orders.flush()
    acknowledged: list[str] = []
    child = 0
    enough = chance.randrange(ACKNOWLEDGED_BEFORE_KILL_MAX)
    while child == 0 or len(acknowledged) < enough:
        line = answers.readline()
        assert line, "the nursery died"
        assert line != "gone\n", "the seller ended by itself"
        if line.startswith("pid "):
            child = int(line.split()[1])
        else:
            acknowledged.append(line)
    time.sleep(chance.uniform(0, STEP_MS_MAX) / 1000)  # the random moment itself
    os.kill(child, signal.SIGKILL)
    while (line := answers.readline()) != "gone\n":
        assert line, "the nursery died"
        acknowledged.append(line)
    return acknowledged


@pytest.mark.timeout(60 + KILLS * 3)
def test_nothing_acknowledged_is_lost_by_kills_at_random_moments(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)  # shown when the test fails
    chance = random.Random(seed)
    acknowledged: list[str] = []
    with nursery(path) as (orders, answers):
        for kill in range(KILLS):
            acknowledged += life_and_death(orders, answers, chance)
            if kill % 10 == 9:
                report = verify(path)
                assert report.ok, report
    check(path, acknowledged)


def check(path: Path, acknowledged: list[str]) -> None:
    """Every acknowledged step is in the ledger, under the number it was acknowledged with."""
    assert len(acknowledged) > KILLS
    latest = {line.split()[0]: line.split() for line in acknowledged}
    ledger = Ledger.open(path, "T1", SteppedClock())
    try:
        for redemption, (_, sequence, state, voided) in latest.items():
            found = ledger.redemption(redemption)
            assert found is not None, redemption
            assert found.last_sequence >= int(sequence)
            if found.last_sequence == int(sequence):  # else the kill came between the commit and the acknowledgement
                assert (found.state, found.voided_units) == (state, int(voided))
        sequences = [int(line.split()[1]) for line in acknowledged]
        assert len(set(sequences)) == len(sequences)
        assert sorted(sequences) == sequences
        assert ledger.last_sequence() <= len(sequences) + KILLS  # at most one unacknowledged step for each kill
    finally:
        ledger.close()
    report = verify(path)
    assert report.ok, report
