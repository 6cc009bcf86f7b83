"""What the status page is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import LANGUAGES
from terminal.ledger.health import FREE_BYTES_LOW, WARNING_WORDS, WarningCode, warnings
from terminal.ledger.ledger import Ledger
from tests.fakes.sales import sale


def test_a_working_ledger_tells_its_end_and_its_queue(ledger: Ledger, path: Path) -> None:
    ledger.authorise(sale(1))
    ledger.authorise(sale(2))
    ledger.set_watermark(1, None)
    health = ledger.health()
    assert (health.ok, health.stopped, health.sequence, health.watermark, health.waiting.count) == (True, None, 2, 1, 1)
    assert health.file_bytes > path.stat().st_size
    assert health.free_bytes > 0


@pytest.mark.parametrize(
    ("free", "fault", "version", "expected"),
    [
        (FREE_BYTES_LOW, None, (3, 51, 3), ()),
        (FREE_BYTES_LOW - 1, None, (3, 51, 3), (WarningCode.DISK_LOW,)),
        (FREE_BYTES_LOW, OSError(), (3, 52, 0), (WarningCode.HEAD_FILE,)),
        (FREE_BYTES_LOW, None, (3, 40, 1), (WarningCode.SQLITE_WAL_RESET,)),
        (FREE_BYTES_LOW, None, (3, 51, 2), (WarningCode.SQLITE_WAL_RESET,)),
    ],
)
def test_each_warning_has_its_sign(
    free: int, fault: OSError | None, version: tuple[int, ...], expected: tuple[WarningCode, ...]
) -> None:
    assert warnings(free, fault, version) == expected


def test_every_warning_is_worded_in_both_languages() -> None:
    assert set(WARNING_WORDS) == set(WarningCode)
    for words in WARNING_WORDS.values():
        assert all(words.text(language) for language in LANGUAGES)
