"""The published card conversations, rebuilt with test numbers: `tests/drivers/pboc/transcripts/*.txt`.

Each has the shape, lengths and status words of what its `source` shows; numbers are test numbers, names are blank,
cryptograms and certificates are made up. The header says what a reading must come to: `pan`, `expiry`, `service`,
`label` and `device-hint`, or `error` (a `CardError.code`) and `status` (the card's word for it).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType

from drivers.card import CardError, CardRead, Expiry, Pan
from drivers.chip_reading import ChipTerms
from drivers.pboc.dol import TerminalData
from drivers.transcript import Transcript, parse_transcript
from tests.fakes.spoken import assert_spoken

DIRECTORY = Path(__file__).parents[1] / "drivers/pboc/transcripts"
TERMINAL = TerminalData(date(2020, 3, 31), bytes.fromhex("11223344"))  # what the transcripts' commands tell the card
TERMS = ChipTerms(terminal_data=lambda: TERMINAL)


def _load() -> Mapping[str, Transcript]:
    found = {
        path.stem: parse_transcript(path.read_text(encoding="utf-8"), path.stem)
        for path in sorted(DIRECTORY.glob("*.txt"))
    }
    return MappingProxyType(found)


TRANSCRIPTS = _load()


def check_outcome(name: str, outcome: CardRead | CardError) -> None:
    """Assert that reading the card of transcript `name` came to what its header says."""
    header = TRANSCRIPTS[name].header
    if isinstance(outcome, CardError):
        assert outcome.code == header.get("error"), f"{name}: {outcome}"
        assert_spoken(outcome)
        if "status" in header:
            assert str(outcome.details["status_word"]).startswith(header["status"])
        return
    assert "error" not in header, f"{name} was read"
    expiry = None if header["expiry"] == "none" else Expiry.from_yymm(header["expiry"])
    assert (outcome.pan, outcome.expiry) == (Pan(header["pan"]), expiry)
    assert outcome.service_code == (None if header["service"] == "none" else header["service"])
    assert outcome.device_hint == (header.get("device-hint") == "yes")
