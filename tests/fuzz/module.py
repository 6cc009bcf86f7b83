"""The NFC module's side: its frames, and what its answers hold."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.card import CardError, ReaderError
from drivers.pn532.commands import Modulation, parse_exchange, parse_firmware, parse_target
from drivers.pn532.frame import DATA_OCTETS_MAX, Damaged, DataFrame, FrameParser, Sender, Signal, encode
from tests.fuzz.target import Target

GOOD = DataFrame(Sender.MODULE, b"\x41\x00\x90\x00")
SENT = encode(Sender.MODULE, GOOD.data)
FLUSH = bytes(DATA_OCTETS_MAX + 16)  # as many octets as a frame under way may still wait for


def read_line(data: bytes) -> None:
    """Octets in slices: bounded frames, and behind whatever came a whole frame is found."""
    parser = FrameParser()
    for begin in range(0, len(data), 7):
        for outcome in parser.feed(data[begin : begin + 7]):
            assert isinstance(outcome, DataFrame | Damaged | Signal)
            if isinstance(outcome, DataFrame):
                assert len(outcome.data) < DATA_OCTETS_MAX
                assert len(outcome.data) < 3 or outcome.data.hex() not in repr(outcome)
    parser.feed(FLUSH)
    assert parser.feed(SENT)[-1:] == [GOOD]
    parser.reset()
    assert parser.feed(SENT) == [GOOD]


def read_answer(data: bytes) -> None:
    """The data of an answer, by the first octet: the module's version, its list of cards, or a card's words."""
    which, answer = data[:1], data[1:]
    if which == b"\x00":
        parse_firmware(answer)
    elif which in {b"\x01", b"\x02"}:
        parse_target(answer, Modulation.TYPE_A if which == b"\x01" else Modulation.TYPE_B)
    else:
        assert len(parse_exchange(answer).data) < len(answer)


def line_seeds() -> Sequence[bytes]:
    """Signals, short and extended frames, and two in a row."""
    frames = [encode(Sender.MODULE, bytes(length)) for length in (1, 20, 253, 264)]
    return [*(signal.value for signal in Signal), *frames, encode(Sender.ERROR, b""), frames[0] + frames[1]]


def answer_seeds() -> Sequence[bytes]:
    """One of each."""
    return [
        bytes.fromhex("00 32010607"),
        bytes.fromhex("01 01 01 0004 20 04 08010203 05 7877800250"),
        bytes.fromhex("02 01 01 50 01020304 00000000 008171 01 00"),
        bytes.fromhex("03 00 9000"),
        bytes.fromhex("03 2B"),
    ]


TARGETS = (
    Target("module-line", read_line, (), line_seeds, calls=4000, octets_max=1024),
    Target("module-answer", read_answer, (CardError, ReaderError), answer_seeds),
)
