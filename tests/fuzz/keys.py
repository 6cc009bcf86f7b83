"""A keyboard-wedge reader's side: key events to lines.

Three octets make an event: its kind by the first's low two bits, a key's code, and what happened to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.card import ReaderNoise
from drivers.framing import FRAME_BYTES_MAX, SILENCE_MS, Frame
from drivers.virtual.card import DEMO_CARDS
from drivers.wedge.keys import (
    EV_KEY,
    KEY_UP,
    SHIFTS,
    KeyEvent,
    TypedLine,
    Typist,
    decode_events,
    encode_events,
    keystrokes,
)
from tests.fuzz.target import Target

GOOD = DEMO_CARDS["member"].track2_text()


def read_keys(data: bytes) -> None:
    """Whatever is typed: bounded lines, and after it, with Shift let go and a pause, a good swipe is read."""
    typist, line = Typist(), TypedLine()
    events = [KeyEvent(data[at] & 3, data[at + 1], data[at + 2] & 3) for at in range(0, len(data) - 2, 3)]
    assert decode_events(encode_events(events)) == events
    typed = typist.type(events)
    assert len(typed) <= len(events)
    outcomes = line.feed(bytes(typed), 10_000) + line.feed(b"", 10_001 + SILENCE_MS)
    assert all(isinstance(outcome, Frame | ReaderNoise) for outcome in outcomes)
    assert all(len(outcome.payload) <= FRAME_BYTES_MAX for outcome in outcomes if isinstance(outcome, Frame))
    released = [KeyEvent(EV_KEY, key, KEY_UP) for key in SHIFTS]
    (frame,) = line.feed(bytes(typist.type(released + keystrokes(GOOD + "\r"))), 10_002 + SILENCE_MS)
    assert isinstance(frame, Frame)
    assert frame.payload == GOOD.encode("ascii")


def seeds() -> Sequence[bytes]:
    """Swipes with and without Enter."""
    return [_packed(keystrokes(text)) for text in (GOOD + "\r", GOOD, "%B^?;E?\r" + GOOD)]


def _packed(events: list[KeyEvent]) -> bytes:
    return b"".join(bytes((event.kind, event.code, event.value)) for event in events)


TARGETS = (Target("keys", read_keys, (), seeds, calls=1500, octets_max=1500),)
