"""From a swipe's frames to one answer: all tracks in any order, noise that shows in the reader's state, floods."""

from __future__ import annotations

import tracemalloc

import pytest

from config.errors import JingkaError
from drivers.framing import FRAMINGS, SILENCE_MS, FrameParity, Framing, IdTech, PlainLine, framing_named
from drivers.magstripe import StripeUnread, WrongTrack
from drivers.reader import ReaderState
from drivers.swipes import NOISY_BURSTS, NOISY_BYTES, OnlyNoise, SwipeDesk
from drivers.virtual.card import DEMO_CARDS
from tests.fakes.listener import RecordingListener
from tests.fakes.uart import sampled, with_parity

MEMBER = DEMO_CARDS["member"]
STRIPE = MEMBER.track2_text().encode("ascii")
TRACK1 = b"%B6210947000000021^TEST/CARD^1808101000?"
TRACK3 = b";996210947000000021=156156000000?"
NOISE = b"\xf8\x80\x00\xff\xe0\x80"
FLOOD_BYTES = 10_000_000
FLOOD_SLICE = 256  # as the port hands it over
FLOOD_MEMORY_BYTES = 64 * 1024


class Line:
    """A framing and its desk on a line whose time the test moves."""

    def __init__(self, framing: Framing) -> None:
        self.listener = RecordingListener()
        self.desk = SwipeDesk("stripe", "serial", self.listener)
        self.desk.open()
        self._framing = framing
        self._now_ms = 10_000

    def hear(self, data: bytes) -> None:
        for outcome in self._framing.feed(data, self._now_ms):
            if isinstance(outcome, JingkaError):
                self.desk.fault(outcome)
            else:
                self.desk.frame(outcome, self._now_ms * 1_000_000)
        self.desk.heard(len(data), self._framing.burst)

    def pause(self) -> None:
        self._now_ms += SILENCE_MS + 1
        self.hear(b"")

    def swipe(self, data: bytes) -> None:
        self.hear(data)
        self.pause()

    @property
    def failures(self) -> list[type[JingkaError]]:
        return [type(error) for _, error in self.listener.failures]

    @property
    def states(self) -> list[ReaderState]:
        return [status.state for status in self.listener.statuses]


@pytest.mark.parametrize(
    "tracks",
    [(TRACK1, STRIPE), (STRIPE, TRACK3), (TRACK1, STRIPE, TRACK3), (b"%E?", STRIPE, b";E?"), (STRIPE, b";E?:")],
    ids=["1 2", "2 3", "1 2 3", "E 2 E", "2 E with LRC"],
)
@pytest.mark.parametrize("joined", [True, False], ids=["one frame", "a frame for each track"])
@pytest.mark.parametrize("frame", FRAMINGS)
def test_a_swipe_of_several_tracks_is_one_read(frame: str, tracks: tuple[bytes, ...], joined: bool) -> None:
    line = Line(framing_named(frame))
    for sent in (b"".join(tracks),) if joined else tracks:
        line.hear(FRAMINGS[frame].wrap(sent))
    line.pause()
    assert [read.pan for read in line.listener.reads] == [MEMBER.pan]
    assert line.failures == []


@pytest.mark.parametrize(
    ("tracks", "error"),
    [
        ((TRACK1,), WrongTrack),
        ((TRACK1, TRACK3), WrongTrack),
        ((TRACK1, b";E?"), StripeUnread),
        ((b";E?",), StripeUnread),
    ],
    ids=["1", "1 3", "1 E", "E"],
)
def test_a_swipe_without_a_good_track_2_is_told_once(tracks: tuple[bytes, ...], error: type[JingkaError]) -> None:
    line = Line(IdTech())
    line.swipe(b"".join(IdTech.wrap(track) for track in tracks))
    assert line.failures == [error]
    assert line.listener.reads == []


def test_a_wrong_track_is_told_when_the_swipe_is_over_and_also_when_the_port_goes_away_before() -> None:
    line = Line(IdTech())
    line.hear(IdTech.wrap(TRACK1))
    assert line.failures == []
    line.desk.close()
    assert line.failures == [WrongTrack]


def test_a_bad_swipe_right_behind_a_good_one_is_told() -> None:
    line = Line(PlainLine())
    line.hear(PlainLine.wrap(STRIPE) + PlainLine.wrap(STRIPE[:-1]))
    assert (len(line.listener.reads), line.failures) == (1, [StripeUnread])


def test_noise_again_and_again_shows_in_the_readers_state_until_a_card_is_read() -> None:
    line = Line(PlainLine())
    for _ in range(NOISY_BURSTS - 1):
        line.swipe(NOISE)
    assert line.states == [ReaderState.READY]
    for _ in range(3):
        line.swipe(NOISE)
    assert line.states == [ReaderState.READY, ReaderState.NOISY]
    error = line.listener.statuses[-1].error
    assert type(error) is OnlyNoise
    assert "波特率" in error.hint_text("zh")
    assert "baud rate" in error.hint_text("en")
    line.swipe(PlainLine.wrap(STRIPE))
    assert line.states == [ReaderState.READY, ReaderState.NOISY, ReaderState.READY]
    assert line.listener.events[-2:] == ["state:ready", "read"]


def test_a_good_swipe_between_bad_ones_begins_the_count_anew() -> None:
    line = Line(PlainLine())
    for _ in range(2 * NOISY_BURSTS):
        line.swipe(NOISE)
        line.swipe(PlainLine.wrap(STRIPE))
    assert line.states == [ReaderState.READY]


@pytest.mark.parametrize("frame", FRAMINGS)
@pytest.mark.parametrize("baud", [2400, 4800, 19200, 115200])
def test_swiping_at_a_wrong_baud_rate_ends_in_a_state_that_says_so(frame: str, baud: int) -> None:
    line = Line(framing_named(frame))
    for _ in range(NOISY_BURSTS):
        line.swipe(sampled(FRAMINGS[frame].wrap(STRIPE), 9600, baud))
    assert line.listener.reads == []
    assert len(line.failures) == NOISY_BURSTS
    assert line.states[-1] is ReaderState.NOISY


def test_a_wrong_parity_is_named_in_the_state() -> None:
    line = Line(PlainLine())
    for _ in range(NOISY_BURSTS):
        line.swipe(with_parity(PlainLine.wrap(STRIPE), "E"))
    assert line.states[-1] is ReaderState.NOISY
    assert type(line.listener.statuses[-1].error) is FrameParity


def test_noise_without_a_pause_shows_in_the_state_too() -> None:
    line = Line(PlainLine())
    line.hear(NOISE * (NOISY_BYTES // len(NOISE)))
    assert line.states == [ReaderState.READY]
    line.hear(NOISE * 2)
    assert line.states[-1] is ReaderState.NOISY


def test_a_flood_of_ten_megabytes_takes_no_memory_and_one_failure() -> None:
    line = Line(PlainLine())
    slice_ = (NOISE + b"7" * 50) * (FLOOD_SLICE // 50)
    for _ in range(FLOOD_BYTES // len(slice_)):
        line.hear(slice_)
    tracemalloc.start()
    try:
        for _ in range(FLOOD_BYTES // 10 // len(slice_)):
            line.hear(slice_)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < FLOOD_MEMORY_BYTES
    assert len(line.failures) == 1
    line.pause()
    line.swipe(PlainLine.wrap(STRIPE))
    assert [read.pan for read in line.listener.reads] == [MEMBER.pan]
    assert line.states == [ReaderState.READY, ReaderState.NOISY, ReaderState.READY]
