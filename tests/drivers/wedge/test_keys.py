"""From keys to lines: the whole of a track, shift, the keypad, lost events, a person typing, and bounds."""

from __future__ import annotations

import pytest
from evdev import ecodes
from hypothesis import given
from hypothesis import strategies as st

from drivers.card import CardError
from drivers.framing import FRAME_BYTES_MAX, SILENCE_MS, Frame, FrameTooLong, FrameUnreadable
from drivers.magstripe import StripeUnread, parse_track2
from drivers.virtual.card import DEMO_CARDS
from drivers.wedge.keys import (
    EV_KEY,
    EV_SYN,
    EVENT,
    KEY_DOWN,
    KEY_UP,
    SYN_DROPPED,
    KeyEvent,
    TypedLine,
    Typist,
    decode_events,
    encode_events,
    keystrokes,
)

TRACK = DEMO_CARDS["stripe-member"].track2_text()


def press(*codes: int) -> list[KeyEvent]:
    return [KeyEvent(EV_KEY, code, value) for code in codes for value in (KEY_DOWN, KEY_UP)]


def typed(events: list[KeyEvent]) -> str:
    return Typist().type(events).decode("latin-1")


def lines(*slices: list[KeyEvent], pause_ms: int = 0) -> list[object]:
    """What comes of events that arrive in `slices`, with a silence at the end."""
    typist, line, found, now = Typist(), TypedLine(), list[object](), 10_000
    for events in slices:
        found += line.feed(bytes(typist.type(events)), now)
        now += pause_ms
    found += line.feed(b"", now + SILENCE_MS + 1)
    return found


@pytest.mark.parametrize("text", [TRACK, TRACK + "4", ";E?", "%B0123^NAME/TEST^?", "+99=12?", "0123456789;=?%"])
def test_what_a_wedge_types_comes_back_as_text(text: str) -> None:
    assert typed(keystrokes(text + "\r")) == text + "\r"


def test_key_codes_are_those_of_the_kernel() -> None:
    for name, character in {
        "1": "1",
        "0": "0",
        "SEMICOLON": ";",
        "EQUAL": "=",
        "SLASH": "/",
        "KP7": "7",
        "KP0": "0",
    }.items():
        assert typed(press(getattr(ecodes, f"KEY_{name}"))) == character
    for name, character in {"A": "a", "L": "l", "Z": "z", "M": "m", "Q": "q", "P": "p", "BACKSLASH": "\\"}.items():
        assert typed(press(getattr(ecodes, f"KEY_{name}"))) == character
    for name in ("ENTER", "KPENTER"):
        assert typed(press(getattr(ecodes, f"KEY_{name}"))) == "\r"


def test_every_digit_of_the_keypad_is_a_digit() -> None:
    assert typed(press(*(getattr(ecodes, f"KEY_KP{digit}") for digit in range(10)))) == "0123456789"


@pytest.mark.parametrize("shift", [ecodes.KEY_LEFTSHIFT, ecodes.KEY_RIGHTSHIFT], ids=["left", "right"])
def test_shift_holds_until_it_is_let_go(shift: int) -> None:
    down, up = KeyEvent(EV_KEY, shift, KEY_DOWN), KeyEvent(EV_KEY, shift, KEY_UP)
    keys = press(ecodes.KEY_SLASH, ecodes.KEY_5)
    assert typed([down, *keys, up, *keys]) == "?%/5"


def test_a_key_held_down_types_once_and_silent_keys_nothing() -> None:
    held = [KeyEvent(EV_KEY, ecodes.KEY_1, value) for value in (1, 2, 2, 2, 0)]
    silent = press(ecodes.KEY_CAPSLOCK, ecodes.KEY_NUMLOCK, ecodes.KEY_LEFTCTRL, ecodes.KEY_LEFTALT)
    assert typed([*held, *silent, KeyEvent(EV_SYN, 0, 0), KeyEvent(4, 4, 30)]) == "1"


def test_a_swipe_is_a_line_and_the_line_a_card() -> None:
    (frame,) = lines(keystrokes(TRACK + "\r"))
    assert isinstance(frame, Frame)
    assert parse_track2(frame.payload).pan == DEMO_CARDS["stripe-member"].pan


def test_a_reader_that_sends_no_enter_is_understood_after_a_pause() -> None:
    (frame,) = lines(keystrokes(TRACK))
    assert isinstance(frame, Frame)
    assert frame.payload.decode() == TRACK


def test_keys_that_come_one_by_one_make_the_same_line() -> None:
    (frame,) = lines(*([event] for event in keystrokes(TRACK + "\r")), pause_ms=5)
    assert isinstance(frame, Frame)
    assert frame.payload.decode() == TRACK


@pytest.mark.parametrize(
    "spoiling",
    [[KeyEvent(EV_SYN, SYN_DROPPED, 0)], press(ecodes.KEY_F1), press(ecodes.KEY_LEFT), press(0x2FF)],
    ids=["events lost", "function key", "arrow", "no key at all"],
)
@pytest.mark.parametrize("end", ["\r", ""], ids=["enter", "pause"])
def test_what_is_no_character_spoils_its_line_and_only_that(spoiling: list[KeyEvent], end: str) -> None:
    keys = keystrokes(TRACK + end)
    found = lines([*keys[:40], *spoiling, *keys[40:]])
    assert [type(outcome) for outcome in found] == [FrameUnreadable]
    after = lines([*keys[:40], *spoiling, *keystrokes("\r"), *keystrokes(TRACK + "\r")])
    assert isinstance(after[-1], Frame)
    assert after[-1].payload.decode() == TRACK


def test_a_shift_whose_release_was_lost_ends_with_the_loss() -> None:
    down = KeyEvent(EV_KEY, ecodes.KEY_LEFTSHIFT, KEY_DOWN)
    assert typed([down, KeyEvent(EV_SYN, SYN_DROPPED, 0), *press(ecodes.KEY_1)]) == "\x001"


@pytest.mark.parametrize("text", ["hello world\r", "1234567890\r", "good morning", ";6210\r"])
def test_what_a_person_types_is_told_as_unread(text: str) -> None:
    (frame,) = lines(keystrokes(text))
    assert isinstance(frame, Frame)
    with pytest.raises(CardError) as unread:
        parse_track2(frame.payload)
    assert isinstance(unread.value, StripeUnread)


def test_a_slow_typist_leaves_nothing_behind() -> None:
    typist, line, now = Typist(), TypedLine(), 0
    for event in keystrokes("6210947"):
        assert line.feed(bytes(typist.type([event])), now) == []
        now += SILENCE_MS + 1
    assert bytes(line._body) in {b"", b"7"}


def test_a_line_without_an_end_is_told_once_and_never_grows_past_its_bound() -> None:
    typist, line, found = Typist(), TypedLine(), list[object]()
    for _ in range(20 * FRAME_BYTES_MAX):
        found += line.feed(bytes(typist.type(press(ecodes.KEY_1))), 1)
        assert len(line._body) <= FRAME_BYTES_MAX
    assert [type(outcome) for outcome in found] == [FrameTooLong]


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(-(2**31), 2**31 - 1)), max_size=60)
)
def test_any_events_survive_the_kernels_form_and_never_raise(raw: list[tuple[int, int, int]]) -> None:
    events = [KeyEvent(*event) for event in raw]
    octets = encode_events(events)
    assert len(octets) == len(events) * EVENT.size
    assert decode_events(octets) == events
    lines(events)


def test_part_of_an_event_is_a_defect() -> None:
    with pytest.raises(AssertionError):
        decode_events(encode_events(keystrokes("1"))[:-1])


def test_an_event_does_not_show_its_key() -> None:
    assert "code" not in repr(press(ecodes.KEY_1)[0])
