"""python-emv, the other EMV reader in Python that pip can install, reading a card on the same reader.

It is fetched into a directory of the cache when it is measured and is no dependency of ours; without a package index it
is left out. It reads contact cards with a directory that ask for nothing, so that is the card both get.

    python -m tests.bench.peer_emv READER ROUNDS

prints, for each read, nanoseconds of the whole and of what was not the exchange.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from drivers.virtual.card import VirtualCard
from drivers.virtual.chip import VirtualChip
from tests.bench.processes import ROOT

PACKAGES = (
    "emv==1.0.14",
    "pycountry==24.6.1",
)  # without dependencies: pyscard is ours, the rest is for its own command


class UndemandingChip(VirtualChip):
    """A contact chip that asks the terminal for nothing."""

    def __init__(self, card: VirtualCard) -> None:
        super().__init__(card)
        self._pdol = ()  # type: ignore[assignment]  # inferred from the two lists of the demonstration


def fetched(cache: Path) -> Path | None:
    """The directory that python-emv stands in; None when it cannot be had."""
    directory = cache / "python-emv"
    if not (directory / "emv").is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(directory), *PACKAGES]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            return None
    return directory


def visits(directory: Path, reader: str, rounds: int) -> list[tuple[float, float]]:
    """Milliseconds of `rounds` reads of the card on `reader`, and of their own part."""
    path = os.pathsep.join([str(ROOT), str(directory)])
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench.peer_emv", reader, str(rounds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return [(int(whole) / 1e6, int(own) / 1e6) for whole, own in (row.split() for row in run.stdout.splitlines())]


def read(reader: str, rounds: int) -> None:
    """Read with python-emv."""
    from emv.card import Card  # type: ignore[import-not-found]
    from emv.protocol.data import Tag  # type: ignore[import-not-found]
    from smartcard.pcsc import PCSCCardConnection
    from smartcard.System import readers

    exchange_ns = 0
    transmit = PCSCCardConnection.SCardTransmit

    def timed(*arguments: Any) -> Any:
        nonlocal exchange_ns
        began_ns = time.perf_counter_ns()
        answer = transmit(*arguments)
        exchange_ns += time.perf_counter_ns() - began_ns
        return answer

    PCSCCardConnection.SCardTransmit = timed
    (here,) = (each for each in readers() if str(each) == reader)
    for _ in range(rounds):
        connection = here.createConnection().component  # it was written for pyscard 2.0, whose decorator had more
        card = Card(connection)
        exchange_ns = 0
        began_ns = time.perf_counter_ns()
        card.select_application(card.list_applications()[0][Tag.ADF_NAME])
        data = card.get_application_data(card.get_processing_options()["AFL"])
        read_ns = time.perf_counter_ns() - began_ns
        assert Tag.PAN in data
        connection.disconnect()
        print(read_ns, read_ns - exchange_ns)


if __name__ == "__main__":
    read(sys.argv[1], int(sys.argv[2]))
