"""An open ledger for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from terminal.ledger.ledger import Ledger
from tests.fakes.clock import SteppedClock


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path, clock: SteppedClock) -> Iterator[Ledger]:
    opened = Ledger.open(path, "T1", clock)
    yield opened
    opened.close()
