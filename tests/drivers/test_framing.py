"""Frames come whole out of any slices, noise and floods; every fault is typed and the line is found again by itself.

Longer than most files here: every kind of frame goes through the same slices, noise and floods.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.card import CardError, ReaderNoise
from drivers.framing import (
    CR,
    DLE,
    ESC,
    ETX,
    FRAME_BYTES_MAX,
    FRAMINGS,
    LF,
    PARITY_BYTES_MAX,
    PARITY_BYTES_MIN,
    SILENCE_MS,
    STRANGE_BYTES_MAX,
    STRAY_BYTES_MIN,
    STX,
    Ecr55Aa,
    Frame,
    FrameCheckFailed,
    FrameCutOff,
    FrameParity,
    FrameTooLong,
    FrameUnknown,
    FrameUnreadable,
    Framing,
    IdTech,
    MagTek,
    ParityTally,
    PlainLine,
    StxEtxLrc,
    framing_named,
)
from drivers.magstripe import parse_track2
from tests.fakes.uart import sampled, with_parity

STRIPE = b";6210947000000021=1808101?"
PAYLOADS = st.binary(min_size=1, max_size=FRAME_BYTES_MAX).map(lambda data: bytes(0x20 + byte % 0x5F for byte in data))
each_kind = pytest.mark.parametrize("kind", FRAMINGS.values(), ids=FRAMINGS.keys())


def told(outcomes: Iterable[Frame | ReaderNoise]) -> list[bytes | type[ReaderNoise]]:
    """Frames as their bytes, faults as their classes."""
    return [bytes(each.payload) if isinstance(each, Frame) else type(each) for each in outcomes]


def heard(framing: Framing, *slices: bytes, start_ms: int = 10_000) -> list[bytes | type[ReaderNoise]]:
    """What `framing` makes of `slices` that come 1 ms apart, and of the silence after them."""
    outcomes: list[Frame | ReaderNoise] = []
    for count, data in enumerate(slices):
        outcomes += framing.feed(data, start_ms + count)
    return told(outcomes + framing.feed(b"", start_ms + len(slices) + SILENCE_MS + 1))


def heard_raw(framing: Framing, data: bytes) -> list[Frame | ReaderNoise]:
    """Frames and faults themselves, of `data` and the silence after it."""
    return framing.feed(data, 10_000) + framing.feed(b"", 10_001 + SILENCE_MS)


def byte_by_byte(data: bytes) -> list[bytes]:
    return [bytes((byte,)) for byte in data]


@each_kind
def test_a_wrapped_payload_is_found_again_whole_and_byte_by_byte(kind: type[Framing]) -> None:
    assert heard(kind(), kind.wrap(STRIPE)) == [STRIPE]
    assert heard(kind(), *byte_by_byte(kind.wrap(STRIPE))) == [STRIPE]


@each_kind
@given(payloads=st.lists(PAYLOADS, max_size=4), data=st.data())
def test_frames_do_not_depend_on_how_the_bytes_are_sliced(
    kind: type[Framing], payloads: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(kind.wrap(payload) for payload in payloads)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    slices = [stream[low:high] for low, high in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert heard(kind(), *slices) == payloads


@each_kind
@given(st.lists(st.tuples(st.binary(max_size=600), st.integers(0, 2 * SILENCE_MS)), max_size=8))
def test_any_bytes_at_any_time_give_only_bounded_frames_and_typed_faults(
    kind: type[Framing], arrivals: list[tuple[bytes, int]]
) -> None:
    framing, now_ms = kind(), 0
    for data, pause_ms in arrivals:
        now_ms += pause_ms
        outcomes = framing.feed(data, now_ms)
        assert sum(isinstance(outcome, ReaderNoise) for outcome in outcomes) <= 2
        for outcome in outcomes:
            assert isinstance(outcome, Frame | ReaderNoise)
            if isinstance(outcome, Frame):
                assert len(outcome.payload) <= kind.bytes_max
    framing.feed(b"", now_ms + SILENCE_MS + 1)
    wrapped = kind.wrap(STRIPE)
    assert heard(framing, wrapped, start_ms=now_ms + 2 * SILENCE_MS) == [STRIPE], "a silence did not heal the line"


@each_kind
def test_the_longest_frame_passes_and_one_byte_more_is_told_once(kind: type[Framing]) -> None:
    longest = b"7" * kind.bytes_max
    assert heard(kind(), kind.wrap(longest)) == [longest]
    over = heard(kind(), kind.wrap(longest + b"7"))
    assert over[0] is FrameTooLong
    assert longest not in over


@each_kind
def test_a_flood_is_told_once_and_the_next_frame_is_read(kind: type[Framing]) -> None:
    framing = kind()
    flood = b"7" * 100_000
    (fault,) = framing.feed(flood, 10_000)
    assert isinstance(fault, ReaderNoise)
    assert told(framing.feed(kind.wrap(STRIPE), 10_001)) == [STRIPE]


@each_kind
@pytest.mark.parametrize(
    "noise", [b"\xff\xff\xff\xff\r", b"\x02\x80\x03\x00", b"7" * 2000], ids=["lines", "frames", "long"]
)
def test_one_fault_is_told_per_burst_and_the_next_burst_may_have_its_own(kind: type[Framing], noise: bytes) -> None:
    framing = kind()
    for burst in range(3):
        outcomes = heard(framing, *[noise] * 20, start_ms=(burst + 1) * 10_000)
        assert sum(isinstance(outcome, type) for outcome in outcomes) == 1


@each_kind
def test_frames_know_which_of_them_came_in_one_burst(kind: type[Framing]) -> None:
    framing, whole = kind(), kind.wrap(STRIPE)
    arrivals = [(whole * 2, 10_000), (whole, 10_000 + SILENCE_MS), (whole, 20_000)]
    bursts = [
        frame.burst for data, at_ms in arrivals for frame in framing.feed(data, at_ms) if isinstance(frame, Frame)
    ]
    assert [burst - bursts[0] for burst in bursts] == [0, 0, 0, 1]


@each_kind
def test_garbled_bytes_are_told_after_the_silence(kind: type[Framing]) -> None:
    assert heard(kind(), b"\xf8\x80\x00\xff\xe0") == [FrameUnreadable]


@each_kind
def test_a_glitch_of_a_few_bytes_is_no_swipe_to_speak_of(kind: type[Framing]) -> None:
    assert heard(kind(), b"\x00" * (STRAY_BYTES_MIN - 1)) == []
    assert heard(kind(), b"\x00" * STRAY_BYTES_MIN) == [FrameUnreadable]


@each_kind
def test_noise_before_a_frame_does_not_cost_the_frame(kind: type[Framing]) -> None:
    assert heard(kind(), b"\x00\xf8\x80\xff" + kind.wrap(STRIPE)) == [STRIPE]


@each_kind
def test_a_frame_that_stops_is_dropped_after_the_silence_and_the_next_one_is_whole(kind: type[Framing]) -> None:
    framing = kind()
    whole = kind.wrap(STRIPE)
    assert told(framing.feed(whole[:12], 10_000)) == []
    assert told(framing.feed(b"", 10_000 + SILENCE_MS)) == []
    assert told(framing.feed(whole, 10_001 + SILENCE_MS)) == [FrameCutOff, STRIPE]


@each_kind
def test_bytes_just_within_the_silence_still_make_one_frame(kind: type[Framing]) -> None:
    framing = kind()
    whole = kind.wrap(STRIPE)
    assert told(framing.feed(whole[:12], 10_000)) == []
    assert told(framing.feed(whole[12:], 10_000 + SILENCE_MS)) == [STRIPE]


@each_kind
def test_a_frame_says_how_long_it_took_and_not_what_it_holds(kind: type[Framing]) -> None:
    framing = kind()
    whole = kind.wrap(STRIPE)
    assert framing.feed(whole[:5], 10_000) == []
    assert framing.feed(whole[5:-1], 10_020) == []
    (frame,) = framing.feed(whole[-1:], 10_041)
    assert isinstance(frame, Frame)
    assert frame.took_ms == 41
    assert repr(frame) == str(frame) == f"Frame({len(STRIPE)} bytes)"


def test_wiping_a_frame_overwrites_its_bytes_where_they_stand() -> None:
    (frame,) = PlainLine().feed(PlainLine.wrap(STRIPE), 0)
    assert isinstance(frame, Frame)
    with memoryview(frame.payload) as bytes_in_place, pytest.raises(BufferError):
        frame.wipe()  # emptying is refused while we look, overwriting has happened
    assert bytes_in_place is not None
    assert bytes(frame.payload) == bytes(len(STRIPE))
    frame.wipe()
    assert frame.payload == b""


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\r\r\n"])
def test_a_plain_line_may_end_in_any_usual_way(end: bytes) -> None:
    assert heard(PlainLine(), STRIPE + end + STRIPE + end) == [STRIPE, STRIPE]


def test_a_garbled_plain_line_is_told_at_its_end() -> None:
    framing = PlainLine()
    assert told(framing.feed(STRIPE[:9] + b"\xb2" + STRIPE[10:] + b"\r", 10_000)) == [FrameUnreadable]
    assert told(framing.feed(STRIPE + b"\r", 10_001)) == [STRIPE]


def test_a_plain_line_finds_the_next_card_within_one_flood() -> None:
    assert heard(PlainLine(), b"7" * 1000 + STRIPE + b"\r") == [FrameTooLong, STRIPE]


def test_endless_noise_on_a_framed_line_is_told_although_no_silence_ever_comes() -> None:
    assert told(StxEtxLrc().feed(b"\x80" * FRAME_BYTES_MAX, 10_000)) == [FrameUnreadable]


def test_the_check_byte_covers_data_and_end_mark() -> None:
    assert StxEtxLrc.wrap(b"12") == bytes((STX, 0x31, 0x32, ETX, 0x31 ^ 0x32 ^ ETX))


@pytest.mark.parametrize("payload", [b"01", b"00", STRIPE], ids=["check byte is STX", "check byte is ETX", "card"])
def test_any_check_byte_is_taken_as_one(payload: bytes) -> None:
    assert heard(StxEtxLrc(), StxEtxLrc.wrap(payload)) == [payload]


@given(place=st.integers(1, len(STRIPE)), flip=st.integers(1, 255))
def test_no_changed_byte_makes_a_frame_that_reads_as_a_card(place: int, flip: int) -> None:
    damaged = bytearray(StxEtxLrc.wrap(STRIPE))
    damaged[place] ^= flip
    for outcome in heard(StxEtxLrc(), bytes(damaged)):
        if isinstance(outcome, bytes):  # a byte turned into STX or ETX may cut a frame out of the rest
            with pytest.raises(CardError):
                parse_track2(outcome)


def test_a_wrong_check_byte_is_told_and_the_next_frame_is_read() -> None:
    wrapped = StxEtxLrc.wrap(STRIPE)
    wrong = wrapped[:-1] + bytes((wrapped[-1] ^ 0x55,))
    assert heard(StxEtxLrc(), wrong + wrapped) == [FrameCheckFailed, STRIPE]


def test_a_lost_check_byte_does_not_cost_the_frame_behind_it() -> None:
    wrapped = StxEtxLrc.wrap(STRIPE)
    assert heard(StxEtxLrc(), wrapped[:-1] + wrapped) == [FrameCheckFailed, STRIPE]


def test_a_lost_end_does_not_cost_the_frame_behind_it() -> None:
    wrapped = StxEtxLrc.wrap(STRIPE)
    assert heard(StxEtxLrc(), wrapped[:-9] + wrapped) == [STRIPE]


def test_line_ends_behind_a_frame_are_let_pass() -> None:
    wrapped = StxEtxLrc.wrap(STRIPE) + bytes((CR, LF))
    assert heard(StxEtxLrc(), wrapped * 5) == [STRIPE] * 5


def test_an_unknown_frame_kind_names_those_that_exist() -> None:
    with pytest.raises(FrameUnknown) as refused:
        framing_named("plane")
    assert "plain, stx-etx-lrc, idtech, magtek, ecr-55aa" in refused.value.hint_text("zh")
    assert {name: type(framing_named(name)) for name in FRAMINGS} == FRAMINGS


def test_the_simulated_line_is_faithful_at_the_right_speed() -> None:
    assert sampled(STRIPE, 9600, 9600) == STRIPE


@each_kind
@pytest.mark.parametrize("heard_baud", [2400, 4800, 19200, 38400, 115200])
def test_a_wrong_baud_rate_is_told_as_noise_and_never_read_as_a_card(kind: type[Framing], heard_baud: int) -> None:
    outcomes = heard(kind(), sampled(kind.wrap(STRIPE) * 2, 9600, heard_baud))
    assert outcomes
    for outcome in outcomes:
        assert isinstance(outcome, type)
        assert "波特率" in outcome.hint.zh


@each_kind
def test_every_frame_kind_is_described_in_both_languages(kind: type[Framing]) -> None:
    assert kind.words.zh != kind.words.en
    assert kind.words.en.isascii() or "…" in kind.words.en
    assert FRAMINGS[kind.name] is kind


@each_kind
@given(before=st.binary(max_size=40), after=st.binary(max_size=40))
def test_noise_around_a_frame_never_makes_another_card_of_it(kind: type[Framing], before: bytes, after: bytes) -> None:
    for outcome in heard(kind(), before, kind.wrap(STRIPE), after):
        if isinstance(outcome, bytes) and outcome != STRIPE:
            with contextlib.suppress(CardError):
                assert parse_track2(outcome).pan == parse_track2(STRIPE).pan


@each_kind
def test_bytes_outside_frames_are_counted(kind: type[Framing]) -> None:
    framing = kind()
    heard(framing, kind.wrap(STRIPE))
    assert framing.dropped == 0
    heard(framing, b"\xff" * 9, start_ms=20_000)
    assert framing.dropped == 9


@each_kind
@pytest.mark.parametrize("parity", ["E", "O"])
def test_seven_bits_with_parity_on_an_eight_bit_port_are_told_as_what_they_are(
    kind: type[Framing], parity: str
) -> None:
    if kind is Ecr55Aa:
        return  # a packet of eight-bit bytes cannot be sent with seven
    (fault,) = [
        each for each in heard_raw(kind(), with_parity(kind.wrap(STRIPE), parity)) if isinstance(each, FrameParity)
    ]
    assert f'parity = "{parity}"' in fault.hint_text("zh")
    assert f'parity = "{parity}"' in fault.hint_text("en")


def test_too_few_bytes_say_nothing_of_parity() -> None:
    assert heard(PlainLine(), with_parity(b"7" * (PARITY_BYTES_MIN - 1), "E")) == [FrameUnreadable]
    assert heard(PlainLine(), with_parity(b"7" * PARITY_BYTES_MIN, "E")) == [FrameParity]


def test_one_odd_byte_among_many_does_not_hide_their_parity_but_two_do() -> None:
    even = with_parity(b"7" * PARITY_BYTES_MIN, "E")
    strange = with_parity(b"\x01", "E")
    assert STRANGE_BYTES_MAX == 1
    assert heard(PlainLine(), even + strange) == [FrameParity]
    assert heard(PlainLine(), even + strange * 2) == [FrameUnreadable]


def test_of_a_flood_only_the_beginning_is_asked_for_its_parity() -> None:
    begun = with_parity(b"1" * (PARITY_BYTES_MAX // 2), "E")
    for odd_from, fault in ((PARITY_BYTES_MAX, FrameParity), (PARITY_BYTES_MAX - 1, FrameUnreadable)):
        tally = ParityTally()
        tally.note(begun * 2)
        assert tally.parity() == "E"
        tally = ParityTally()
        tally.note((begun * 2)[:odd_from] + b"1" * 100)
        assert (tally.parity() == "E") == (fault is FrameParity)


def test_single_garbled_bytes_between_empty_lines_are_counted_together() -> None:
    assert heard(PlainLine(), b"\xff\r\r" * STRAY_BYTES_MIN) == [FrameUnreadable]


# --- ID TECH, MagTek --------------------------------------------------------------------------------------------------

TRACK1 = b"%B6210947000000021^TEST/CARD^1808101000?"
TRACK3 = b";996210947000000021=156156000000?"


def test_id_tech_sends_a_line_for_each_track() -> None:
    lines = b"".join(track + b"\r" for track in (TRACK1, STRIPE, TRACK3))
    assert heard(IdTech(), lines) == [TRACK1, STRIPE, TRACK3]


@pytest.mark.parametrize("check", [b"", b"4"], ids=["no LRC", "LRC"])
def test_id_techs_uic_format_ends_tracks_with_dle_and_the_last_with_etx(check: bytes) -> None:
    sent = bytes((STX,)) + TRACK1 + bytes((DLE, STX)) + STRIPE + check + bytes((DLE, STX)) + TRACK3 + bytes((ETX,))
    assert heard(IdTech(), sent) == [TRACK1, STRIPE + check, TRACK3]


@pytest.mark.parametrize("framing", [IdTech, MagTek])
def test_a_start_mark_begins_a_card_anew(framing: type[Framing]) -> None:
    assert heard(framing(), STRIPE[:9] + bytes((STX,)) + STRIPE + b"\r") == [STRIPE]


@pytest.mark.parametrize("start", [b"", b"\x02", b"\x1b", b"\x02\x1b"], ids=["none", "STX", "ESC", "STX ESC"])
@pytest.mark.parametrize("end", [b"", b"\r", b"\x03", b"\r\x03"], ids=["none", "CR", "ETX", "CR ETX"])
def test_every_setting_of_a_magtek_readers_switches_is_one_frame(start: bytes, end: bytes) -> None:
    assert ESC in start or STX in start or not start
    tracks = TRACK1 + STRIPE + b"+996210947000000021=156156000000?"
    framing = MagTek()
    assert heard(framing, start + tracks + end) == [tracks]
    assert framing.dropped == 0


def test_without_an_end_mark_a_magtek_swipe_is_whole_only_when_its_end_sentinel_came() -> None:
    assert heard(MagTek(), STRIPE[:-1]) == [FrameCutOff]
    assert heard(MagTek(), STRIPE + b"4") == [STRIPE + b"4"]  # with the track's check character


# --- the 55AA…CC33 packet ---------------------------------------------------------------------------------------------

HANDSHAKE, CONFIRMED, HEARTBEAT = (
    bytes.fromhex(packet) for packet in ("55AA010000000001CC33", "55AA020000000002CC33", "55AA000000000000CC33")
)  # as published


def test_a_packet_is_laid_out_as_published() -> None:
    assert Ecr55Aa.wrap(b"12") == bytes.fromhex("55AA 00 00 01 0002 3132 00 CC33")
    assert len(Ecr55Aa.wrap(bytes(Ecr55Aa.bytes_max))) == 1024


def test_packets_without_data_are_no_frames_and_no_noise() -> None:
    framing = Ecr55Aa()
    assert heard(framing, HANDSHAKE, CONFIRMED, *[HEARTBEAT] * 200, Ecr55Aa.wrap(STRIPE), HEARTBEAT) == [STRIPE]
    assert framing.dropped == 0


@pytest.mark.parametrize("place", [-1, -2, -3, 9], ids=["end", "end", "check byte", "data"])
def test_a_changed_byte_of_a_packet_is_told_and_the_next_one_is_read(place: int) -> None:
    damaged = bytearray(Ecr55Aa.wrap(STRIPE))
    damaged[place] ^= 0x10
    assert heard(Ecr55Aa(), bytes(damaged) + Ecr55Aa.wrap(STRIPE)) == [FrameCheckFailed, STRIPE]


@pytest.mark.parametrize("after", [b"", b"\x00" * 1024], ids=["silence", "more bytes"])
def test_a_packet_swallowed_by_a_false_start_is_found_in_it(after: bytes) -> None:
    false_start = bytes.fromhex("55AA0000010300")
    outcomes = heard(Ecr55Aa(), false_start + Ecr55Aa.wrap(STRIPE) + after)
    assert STRIPE in outcomes


@given(place=st.integers(2, len(STRIPE) + 9), flip=st.integers(1, 255))
def test_no_changed_byte_makes_a_packet_that_reads_as_a_card(place: int, flip: int) -> None:
    damaged = bytearray(Ecr55Aa.wrap(STRIPE))
    damaged[place] ^= flip
    assert STRIPE not in heard(Ecr55Aa(), bytes(damaged)) or 2 <= place <= 4  # ids and type are not the card
    for outcome in heard(Ecr55Aa(), bytes(damaged)):
        if isinstance(outcome, bytes):
            with pytest.raises(CardError):
                parse_track2(outcome)
