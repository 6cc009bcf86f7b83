"""Read outcomes for tests of what shows them: the real recorder, fed with what a reader would tell."""

from __future__ import annotations

from config.errors import JingkaError
from drivers.card import Authenticity, AuthenticityReason, CardRead, EntryMode, Pan, Step
from drivers.outcomes import Outcomes, ReadHistory
from tests.fakes.clock import SteppedClock
from tests.fakes.listener import RecordingListener
from tests.fakes.till import FIRST_EVENING, READER

STEPS = (Step("SELECT 0400", 0x6A82, 20.0), Step("READ RECORD 010C", None, 30.5))
DIGITS = "6210947000000021"


def card_read(entry_mode: EntryMode = EntryMode.CONTACTLESS, reader: str = READER, read_ms: float = 1234.6) -> CardRead:
    """A good read, its chip not verified."""
    return CardRead(
        pan=Pan(DIGITS),
        expiry=None,
        entry_mode=entry_mode,
        reader=reader,
        authenticity=Authenticity.UNVERIFIED,
        service_code=None,
        finished_ns=0,
        read_ms=read_ms,
        authenticity_reason=AuthenticityReason.NO_KEYS,
        steps=STEPS,
    )


def history_of(*cards: CardRead | JingkaError) -> ReadHistory:
    """What is known after these cards, oldest first; an error is a card that `READER` could not read."""
    outcomes = Outcomes(RecordingListener(), SteppedClock(now=FIRST_EVENING).wall)
    for card in cards:
        if isinstance(card, CardRead):
            outcomes.card_read(card)
        else:
            outcomes.card_failed(READER, card, STEPS)
    return outcomes.history()
