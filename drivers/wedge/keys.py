"""From a keyboard's events to lines of text, pure: Linux `struct input_event`s in, characters out (US layout).

A wedge types as a person with a US keyboard would, however the PC's own layout is set: key codes name places on the
keyboard, not characters. What is no such key spoils the line it stands in: nothing half understood passes for a card.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from config.errors import Words
from drivers.card import ReaderNoise
from drivers.framing import CR, STRAY_BYTES_MIN, Frame
from drivers.framing.text_line import TextLine

# linux/input.h: struct timeval, type, code, value
EVENT = struct.Struct("@llHHi")
# linux/input-event-codes.h
EV_SYN, EV_KEY = 0x00, 0x01
SYN_REPORT, SYN_DROPPED = 0, 3  # DROPPED: the kernel's buffer ran over, events are missing
KEY_UP, KEY_DOWN = 0, 1  # 2 = held down: a wedge never means it
KEY_ENTER, KEY_KEYPAD_ENTER = 28, 96
KEY_LEFT_SHIFT, KEY_RIGHT_SHIFT = 42, 54
SHIFTS = frozenset({KEY_LEFT_SHIFT, KEY_RIGHT_SHIFT})
SILENT_KEYS = frozenset({29, 97, 56, 100, 125, 126, 58, 69, 70})  # Ctrl, Alt, Meta and the locks type nothing
SPOILT = 0x00  # stands for what cannot be told: the line it stands in is garbled

# Rows of keys: the first key's code, what each types, and what it types with Shift
_ROWS = (
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
    (71, "789-456+1230.", "789-456+1230."),  # keypad, as with Num Lock: a wedge types digits
    (55, "*", "*"),
    (98, "/", "/"),
    (117, "=", "="),
)
_PLAIN = {first + at: ord(char) for first, chars, _ in _ROWS for at, char in enumerate(chars)}
_SHIFTED = {first + at: ord(char) for first, _, chars in _ROWS for at, char in enumerate(chars)}
_ENTERS = frozenset({KEY_ENTER, KEY_KEYPAD_ENTER})


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """One event, without its time. Keys are card data: they never show."""

    kind: int
    code: int
    value: int

    def __repr__(self) -> str:
        return f"KeyEvent({self.kind})"


def decode_events(octets: bytes) -> list[KeyEvent]:
    """The events in `octets`, which are whole ones (an assert): the kernel hands out no other."""
    assert len(octets) % EVENT.size == 0, "part of an event"
    return [KeyEvent(kind, code, value) for _, _, kind, code, value in EVENT.iter_unpack(octets)]


class Typist:
    """Keeps track of Shift; turns events into the characters they type, Enter into CR."""

    def __init__(self) -> None:
        self._shifts: set[int] = set()

    def type(self, events: list[KeyEvent]) -> bytearray:
        """The characters, in order; whoever takes them wipes them."""
        typed = bytearray()
        for event in events:
            if event.kind == EV_SYN and event.code == SYN_DROPPED:
                self._shifts.clear()  # its release may be among what is missing
                typed.append(SPOILT)
            elif event.kind == EV_KEY and event.code in SHIFTS:
                (self._shifts.discard if event.value == KEY_UP else self._shifts.add)(event.code)
            elif event.kind == EV_KEY and event.value == KEY_DOWN and event.code not in SILENT_KEYS:
                typed.append(self._character(event.code))
        return typed

    def _character(self, code: int) -> int:
        if code in _ENTERS:
            return CR
        return (_SHIFTED if self._shifts else _PLAIN).get(code, SPOILT)


class TypedLine(TextLine):
    """A line of keys, ended by Enter or, from readers that send none, by a silence."""

    name = "keys"
    words = Words("键盘按键，以回车或停顿结束", "keys, ended by Enter or a pause")
    ends = frozenset((CR,))

    @staticmethod
    def wrap(payload: bytes) -> bytes:
        return payload + bytes((CR,))

    def _after_silence(self) -> Frame | ReaderNoise | None:
        """Whatever was typed: the line that is no track is told as a card unread, and not kept."""
        if self._garbled or len(self._body) < STRAY_BYTES_MIN:
            return super()._after_silence()
        return self._end()


def keystrokes(text: str) -> list[KeyEvent]:
    """What a wedge sends for `text`, with each key pressed and released; for `\\r`, Enter."""
    events: list[KeyEvent] = []
    for character in text:
        code, shifted = _STROKES[ord(character)]
        if shifted:
            events += _report(KEY_LEFT_SHIFT, KEY_DOWN)
        events += _report(code, KEY_DOWN) + _report(code, KEY_UP)
        if shifted:
            events += _report(KEY_LEFT_SHIFT, KEY_UP)
    return events


def encode_events(events: list[KeyEvent]) -> bytes:
    """The octets that the kernel hands out for `events`, all at time 0."""
    return b"".join(EVENT.pack(0, 0, event.kind, event.code, event.value) for event in events)


def _report(code: int, value: int) -> list[KeyEvent]:
    return [KeyEvent(EV_KEY, code, value), KeyEvent(EV_SYN, SYN_REPORT, 0)]


_STROKES = {
    **{char: (code, True) for code, char in reversed(_SHIFTED.items())},
    **{char: (code, False) for code, char in reversed(_PLAIN.items())},
    CR: (KEY_ENTER, False),
}
