"""The stripe's side: track 2, and each framing of a serial line with what is read from its frames.

A line is octets too: bursts one after the other, each behind one octet whose low six bits are its length and whose high
two say how long the line was quiet before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from drivers.card import CardError, Pan, ReaderNoise
from drivers.detect import Heard, recognise
from drivers.framing import FRAMINGS, SILENCE_MS, Frame, Framing, framing_named
from drivers.magstripe import Track2, lrc, parse_track2
from drivers.virtual.card import DEMO_CARDS
from tests.fuzz.target import Target, assert_tells_no_digits

BURST_OCTETS_MAX = 0x3F
FRAME_OCTETS_MAX = max(framing.bytes_max for framing in FRAMINGS.values())
LINE_OCTETS_MAX = 1024  # several times a frame's bound
QUIET_MS = (0, 5, 120, SILENCE_MS + 1)  # by the high two bits of a burst's head
STRIPES = tuple(card.track2_text().encode("ascii") for card in DEMO_CARDS.values())
GOOD = STRIPES[0]


def read_track2(data: bytes) -> None:
    """One line of a stripe reader."""
    track = parse_track2(data)
    assert isinstance(track.pan, Pan)
    assert track.service_code is None or (len(track.service_code) == 3 and track.service_code.isdecimal())


def read_line(name: str, data: bytes) -> None:
    """A line of the framing `name`: bounded frames, few faults, and after whatever came a good swipe is read."""
    framing = framing_named(name)
    now_ms = 10_000
    for quiet_ms, burst in bursts(data):
        now_ms += quiet_ms
        _judge(framing.feed(burst, now_ms), len(burst))
    now_ms += SILENCE_MS + 1
    _judge(framing.feed(b"", now_ms), 0)
    swipe = type(framing).wrap(GOOD)
    (frame,) = framing.feed(swipe, now_ms + 1)
    assert isinstance(frame, Frame)
    assert frame.payload == GOOD, "a swipe after a silence is whole"


def read_capture(data: bytes) -> None:
    """What a search for settings makes of a swipe; of the card it keeps the last four digits."""
    shown = recognise(data[1:], "E" if data[:1] == b"E" else "N")
    assert shown.heard in Heard
    assert bool(shown.masked) == (shown.frame in FRAMINGS)
    assert len(re.sub(r"\D", "", shown.masked)) in {0, 4}
    if shown.error is not None:
        assert_tells_no_digits(shown.error)


def bursts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """How long the line was quiet, and what came then."""
    at = 0
    while at < len(data):
        head, begin = data[at], at + 1
        at = begin + (head & BURST_OCTETS_MAX)
        yield QUIET_MS[head >> 6], data[begin:at]


def _judge(outcomes: list[Frame | ReaderNoise], octets: int) -> None:
    faults = [outcome for outcome in outcomes if isinstance(outcome, ReaderNoise)]
    frames = [outcome for outcome in outcomes if isinstance(outcome, Frame)]
    assert len(faults) <= 2, "one for this burst and one for the burst before"
    assert len(frames) <= octets + 1, "and one that only the silence could end"
    for frame in frames:
        assert len(frame.payload) <= FRAME_OCTETS_MAX
        _read_frame(frame)


def _read_frame(frame: Frame) -> Track2 | CardError:
    try:
        return parse_track2(frame.payload)
    except CardError as error:
        return error
    finally:
        frame.wipe()
        assert not frame.payload


def track2_seeds() -> Sequence[bytes]:
    """Good stripes with and without sentinels and check character, and what readers send instead of one."""
    bare = [stripe.strip(b";?") for stripe in STRIPES]
    checked = [stripe + lrc(stripe.decode("ascii")).encode("ascii") for stripe in STRIPES]
    others = [
        b";E?",
        b"%E?;E?+E?",
        b";99" + b"6210947000000021" + b"=15615600000000000000?",
        b"%B6210947000000021^ /^49?",
    ]
    return [*STRIPES, *bare, *checked, *others]


def line_seeds(framing: type[Framing]) -> Sequence[bytes]:
    """Two swipes in one go, a swipe in pieces, a swipe cut off, and noise before one."""
    wrapped = framing.wrap(GOOD)
    return [
        _line((0, wrapped), (3, wrapped)),
        _line(*((1, wrapped[at : at + 7]) for at in range(0, len(wrapped), 7))),
        _line((0, wrapped[:-9]), (3, wrapped)),
        _line((0, b"\x00\xf8\x80\xff"), (1, wrapped)),
        _line(*((0, b"7" * BURST_OCTETS_MAX) for _ in range(6)), (2, wrapped)),
    ]


def _line(*parts: tuple[int, bytes]) -> bytes:
    told = bytearray()
    for quiet, burst in parts:
        for begin in range(0, len(burst), BURST_OCTETS_MAX):
            piece = burst[begin : begin + BURST_OCTETS_MAX]
            told += bytes([(quiet if begin == 0 else 0) << 6 | len(piece)]) + piece
    return bytes(told)


def capture_seeds() -> Sequence[bytes]:
    """A swipe in every frame, as seven bits with parity, and at a wrong speed."""
    swipes = [framing.wrap(GOOD) for framing in FRAMINGS.values()]
    even = [bytes(byte | (byte.bit_count() & 1) << 7 for byte in swipe) for swipe in swipes]
    return [b"N" + swipe for swipe in (*swipes, *even, b"\x00\xf8\x80\xff" * 20)] + [b"E" + swipes[0]]


def _line_target(name: str, framing: type[Framing]) -> Target:
    seeds: Callable[[], Sequence[bytes]] = partial(line_seeds, framing)
    return Target(f"line-{name}", partial(read_line, name), (), seeds, octets_max=LINE_OCTETS_MAX)


TARGETS = (
    Target("track2", read_track2, (CardError,), track2_seeds, bare=True),
    Target("detect", read_capture, (), capture_seeds, calls=3000, calls_per_octet=200, octets_max=LINE_OCTETS_MAX),
    *(_line_target(name, framing) for name, framing in FRAMINGS.items()),
)
