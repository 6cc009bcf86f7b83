"""Frames of the PN532 as its manual prints them, in any slices, among noise, and damaged in every octet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.pn532.frame import (
    DATA_OCTETS_MAX,
    FRAME_OCTETS_MAX,
    NORMAL_OCTETS_MAX,
    Damaged,
    DataFrame,
    FrameParser,
    Outcome,
    Sender,
    Signal,
    encode,
)

# As printed in UM0701-02 or worked out by its rules
HOST_FRAMES = {
    "GetFirmwareVersion": ("02", "0000FF02FED4022A00"),
    "SAMConfiguration": ("140100", "0000FF04FCD4140100" + "1700"),
    "InListPassiveTarget": ("4A0100", "0000FF04FCD44A0100E100"),
}
MODULE_FRAMES = {
    "firmware 1.6": ("0332010607", "0000FF06FAD50332010607E800"),
    "SAMConfiguration done": ("15", "0000FF02FED5151600"),
    "no card": ("4B00", "0000FF03FDD54B00E000"),
}

data_of_any_length = st.binary(min_size=0, max_size=DATA_OCTETS_MAX - 1)


def parsed(octets: bytes, *cuts: int) -> list[Outcome]:
    parser, found, start = FrameParser(), list[Outcome](), 0
    for cut in (*sorted(cuts), len(octets)):
        found += parser.feed(octets[start:cut])
        start = cut
    return found


@pytest.mark.parametrize(("data", "frame"), HOST_FRAMES.values(), ids=HOST_FRAMES.keys())
def test_a_command_is_framed_as_the_manual_prints_it(data: str, frame: str) -> None:
    assert encode(Sender.HOST, bytes.fromhex(data)).hex().upper() == frame


@pytest.mark.parametrize(("data", "frame"), MODULE_FRAMES.values(), ids=MODULE_FRAMES.keys())
def test_an_answer_is_taken_out_of_its_frame(data: str, frame: str) -> None:
    assert parsed(bytes.fromhex(frame)) == [DataFrame(Sender.MODULE, bytes.fromhex(data))]


def test_an_error_frame_is_its_own_sender() -> None:
    assert parsed(bytes.fromhex("0000FF01FF7F8100")) == [DataFrame(Sender.ERROR, b"")]


def test_signals_are_told_apart_in_one_piece_and_octet_by_octet() -> None:
    octets = Signal.ACK.value + Signal.NACK.value + Signal.ACK.value
    for cuts in ((), range(len(octets))):
        assert parsed(octets, *cuts) == [Signal.ACK, Signal.NACK, Signal.ACK]


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (NORMAL_OCTETS_MAX - 1, "0000FFFF01"),
        (NORMAL_OCTETS_MAX, "0000FFFFFF0100FF"),
        (DATA_OCTETS_MAX - 1, "0000FFFFFF0109F6"),
    ],
    ids=["longest normal", "shortest extended", "longest extended"],
)
def test_a_long_frame_is_extended_and_comes_back_whole(length: int, head: str) -> None:
    frame = encode(Sender.MODULE, bytes(length))
    assert frame.hex().upper().startswith(head)
    assert parsed(frame) == [DataFrame(Sender.MODULE, bytes(length))]


def test_more_than_the_module_takes_is_a_defect() -> None:
    with pytest.raises(AssertionError):
        encode(Sender.HOST, bytes(DATA_OCTETS_MAX))


@pytest.mark.parametrize("length", [0, DATA_OCTETS_MAX + 1, 0xFFFF], ids=["nothing", "one too long", "longest of all"])
def test_an_extended_length_out_of_bounds_is_damage_and_the_next_frame_is_found(length: int) -> None:
    high, low = divmod(length, 0x100)
    head = bytes((0x00, 0x00, 0xFF, 0xFF, 0xFF, high, low, -(high + low) & 0xFF))
    found = parsed(head + Signal.ACK.value)
    assert found[0] == Damaged("length")
    assert found[-1] is Signal.ACK


@given(data_of_any_length, st.lists(st.integers(0, 300), max_size=8))
def test_every_frame_comes_back_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    assert parsed(encode(Sender.MODULE, data), *cuts) == [DataFrame(Sender.MODULE, data)]


@given(st.binary(max_size=200), data_of_any_length)
def test_noise_without_a_start_code_does_not_hide_a_frame(noise: bytes, data: bytes) -> None:
    noise = noise.replace(b"\xff", b"\x11")
    parser = FrameParser()
    assert parser.feed(noise + encode(Sender.MODULE, data)) == [DataFrame(Sender.MODULE, data)]
    assert parser.strays == len(noise) - noise.count(0)


@given(data_of_any_length, st.integers(0, 280), st.integers(1, 255))
def test_a_changed_octet_never_gives_other_data(data: bytes, at: int, change: int) -> None:
    frame = bytearray(encode(Sender.MODULE, data))
    frame[at % len(frame)] ^= change
    for outcome in parsed(bytes(frame)):
        # Behind a broken start code the data are searched for the next one; without FF they hold none.
        assert not isinstance(outcome, DataFrame) or outcome == DataFrame(Sender.MODULE, data) or 0xFF in data


@given(st.lists(st.binary(max_size=400), max_size=20))
def test_any_octets_at_all_are_taken_within_the_bound(slices: list[bytes]) -> None:
    parser = FrameParser()
    for octets in slices:
        for outcome in parser.feed(octets):
            assert not isinstance(outcome, DataFrame) or len(outcome.data) < DATA_OCTETS_MAX
        assert len(parser._held) <= FRAME_OCTETS_MAX


def test_a_reset_forgets_the_frame_under_way() -> None:
    frame = encode(Sender.MODULE, b"\x03\x32\x01\x06\x07")
    parser = FrameParser()
    parser.feed(frame[:6])
    parser.reset()
    assert parser.feed(frame[6:]) == []
    parser.reset()
    assert parser.feed(frame) == [DataFrame(Sender.MODULE, b"\x03\x32\x01\x06\x07")]


def test_what_is_taken_out_is_overwritten() -> None:
    parser = FrameParser()
    held = parser._held
    parser.feed(encode(Sender.MODULE, b"6210947000000021"))
    assert bytes(held) in {b"", b"\x00"}


def test_a_frame_does_not_show_its_data() -> None:
    assert "6210" not in repr(DataFrame(Sender.MODULE, b"6210947000000021"))
