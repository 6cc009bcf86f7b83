from __future__ import annotations

import logging
import stat
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.card import Authenticity, CardError, CardRead, Step, luhn_valid
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.masking import FILL
from drivers.pboc import tlv
from drivers.pboc.apdu import Instruction
from drivers.pboc.authenticity.keys import SchemeKey, SchemeKeys
from drivers.pboc.authenticity.recover import PublicKey
from drivers.pboc.exchange import TransmissionProtocol
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import encode
from drivers.recording import NUMBERS_MAX, RECORDED_READS_MAX, Reading, ReadRecorder, TestNumbers, masked_transcript
from drivers.transcript import Transcript, parse_transcript, write_transcript
from drivers.virtual.card import DEMO_CARDS, ChipKind, VirtualCard
from drivers.virtual.chip import VirtualChip
from drivers.virtual.demo_authority import DEMO_AUTHORITY, chip_of
from drivers.virtual.replay import ReplayChip, read_again

NOON = datetime(2012, 12, 25, 4, 0, tzinfo=UTC)
MEMBER = DEMO_CARDS["member"]
CHIPS = [kind for kind in ChipKind if kind is not ChipKind.NONE]
OK = b"\x90\x00"


class Kept(ReadRecorder):
    """A recorder that keeps readings in memory, unmasked."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []

    def keep(self, reading: Reading) -> None:
        self.readings.append(reading)


def read_through(
    transmit: Callable[[bytes], bytes], chip: VirtualChip | ReplayChip, recorder: ReadRecorder | None = None
) -> tuple[object, list[tuple[str, int | None]]]:
    """What a reading comes to, and its steps without their times."""
    reading = ChipReading(
        transmit,
        chip.protocol,
        contactless=chip.contactless,
        reader="virtual",
        terms=ChipTerms(recorder=recorder),
    )
    try:
        outcome: object = _told(reading.read())
    except CardError as error:
        outcome = (error.code, error.details)
    except ConnectionAbortedError:
        outcome = "pulled"
    return outcome, [_step(step) for step in reading.steps]


def _told(read: CardRead) -> object:
    return (read.pan.masked, read.pan.length, read.expiry, read.service_code, read.authenticity, read.device_hint)


def _step(step: Step) -> tuple[str, int | None]:
    return step.command, step.status


def recorded(transmit: Callable[[bytes], bytes], chip: VirtualChip) -> tuple[object, Transcript | None]:
    """A reading's outcome and steps, and its transcript as support would get it."""
    kept = Kept()
    outcome = read_through(transmit, chip, kept)
    (reading,) = kept.readings
    transcript = masked_transcript(reading, NOON)
    return outcome, transcript and parse_transcript(write_transcript(transcript))


def card(kind: ChipKind, digits: str = MEMBER.digits, **more: str) -> VirtualCard:
    return VirtualCard("x", MEMBER.title, digits, chip=kind, **more)  # type: ignore[arg-type]


def holds(transcript: Transcript, digits: str) -> bool:
    text = write_transcript(transcript).replace(" ", "").replace("\n", "")
    return digits in text or digits.encode().hex() in text


# --- what is recorded reads to the same -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CHIPS)
@pytest.mark.parametrize("name", [name for name, each in DEMO_CARDS.items() if each.chip is not ChipKind.NONE])
def test_every_card_reads_the_same_from_its_transcript_and_stands_not_in_it(kind: ChipKind, name: str) -> None:
    original = DEMO_CARDS[name]
    chip = VirtualChip(card(kind, original.digits, expiry_yymm=original.expiry_yymm))
    outcome, transcript = recorded(chip.transmit, chip)
    assert transcript is not None
    replay = ReplayChip(transcript)
    assert read_through(replay.transmit, replay) == outcome
    assert (replay.finished, replay.deviation) == (True, None)
    assert not holds(transcript, original.digits)
    assert transcript.header["outcome"] == "read"


class Faulty:
    """A chip that spoils one answer: octets changed, cut off, or none at all."""

    def __init__(self, chip: VirtualChip, at: int, place: int, put: bytes, cut: int | None) -> None:
        self._chip = chip
        self._at, self._place, self._put, self._cut = at, place, put, cut
        self._step = -1

    def __call__(self, command: bytes) -> bytes:
        self._step += 1
        answer = self._chip.transmit(command)
        if self._step != self._at:
            return answer
        if self._cut == 0:
            raise ConnectionAbortedError("pulled")
        data = bytearray(answer[:-2][: self._cut])
        place = self._place % (len(data) + 1)
        data[place : place + len(self._put)] = self._put
        return bytes(data[:256]) + answer[-2:]


@given(
    kind=st.sampled_from(CHIPS),
    at=st.integers(0, 6),
    place=st.integers(0, 60),
    put=st.binary(max_size=3),
    cut=st.none() | st.integers(0, 60),
)
def test_a_faulty_card_fails_the_same_from_its_transcript(
    kind: ChipKind, at: int, place: int, put: bytes, cut: int | None
) -> None:
    chip = VirtualChip(card(kind))
    outcome, transcript = recorded(Faulty(chip, at, place, put, cut), chip)
    if transcript is None:
        return  # a number where no card has one
    if any(command[1] == Instruction.SELECT and FILL * 2 in answer for command, answer in transcript.pairs):
        return  # spoilt so that a list or a name looks like a number, and was written over
    replay = ReplayChip(transcript)
    assert read_through(replay.transmit, replay) == outcome
    assert not holds(transcript, MEMBER.digits)


@pytest.fixture(scope="module")
def keys() -> SchemeKeys:
    scheme = DEMO_AUTHORITY.scheme
    key = PublicKey(scheme.modulus, scheme.octets, scheme.exponent)
    return SchemeKeys([SchemeKey(DEMO_AUTHORITY.rid, DEMO_AUTHORITY.index, key, date(2049, 12, 31))])


@pytest.mark.parametrize("kind", CHIPS)
def test_a_signed_card_reads_to_the_same_number_but_proves_nothing_any_more(keys: SchemeKeys, kind: ChipKind) -> None:
    chip = chip_of(card(kind))
    kept = Kept()
    terms = ChipTerms(keys=keys, recorder=kept)
    read = ChipReading(chip.transmit, chip.protocol, contactless=chip.contactless, reader="virtual", terms=terms).read()
    assert read.authenticity is Authenticity.DDA
    transcript = masked_transcript(kept.readings[0], NOON)
    assert transcript is not None
    again = read_again(transcript, terms=ChipTerms(keys=keys))
    assert (again.pan.masked, again.expiry, again.service_code) == (read.pan.masked, read.expiry, read.service_code)
    assert again.authenticity is Authenticity.FAILED
    assert transcript.header["authenticity"] == "dda", "as it was at the till"
    assert not any(signed in answer for signed in _signed(kept.readings[0]) for _, answer in transcript.pairs)


def _signed(reading: Reading) -> list[bytes]:
    """What a scheme's public key turns back into the card's number, and what else is signed."""
    tags = {0x90, 0x92, 0x9F46, 0x9F48, 0x9F4B, 0x93}
    found: list[bytes] = []
    for _, answer in reading.pairs:
        if reading.protocol == TransmissionProtocol.T1 or answer.endswith(OK):
            found += [node.value for node in tlv.walk(tlv.parse(answer[:-2])) if node.tag in tags and node.value]
    assert len(found) >= 3
    return found


def test_two_numbers_that_differ_still_differ() -> None:
    record = encode(
        Tag.RECORD,
        encode(Tag.TRACK_2_EQUIVALENT, bytes.fromhex("6210947000000021D4912220000000")),
        encode(Tag.PAN, bytes.fromhex("6250946000000021")),
    )
    reading = Reading("virtual", True, "T=1", "card-malformed", ((bytes.fromhex("00B2010C00"), record + OK),))
    transcript = masked_transcript(reading, NOON)
    assert transcript is not None
    told = transcript.pairs[0][1].hex()
    assert told[8:24] != told[-20:-4]
    assert told[8:12] == told[-20:-16] == "6200"


def test_an_answer_in_parts_is_masked_whole_and_keeps_its_parts() -> None:
    record = encode(Tag.RECORD, encode(Tag.PAN, bytes.fromhex("6210947000000021")), encode(0x9F1F, b"0123456789"))
    select, more = bytes.fromhex("00B2010C00"), bytes.fromhex("00C0000008")
    for cut in range(1, len(record)):
        left = len(record) - cut
        pairs = (
            (select, record[:cut] + bytes([0x61, left])),
            (more, bytes([0x6C, left])),
            (more, record[cut:] + OK),
        )
        transcript = masked_transcript(Reading("virtual", False, "T=0", "read", pairs), NOON)
        assert transcript is not None
        assert [len(answer) for _, answer in transcript.pairs] == [len(answer) for _, answer in pairs]
        whole = transcript.pairs[0][1][:-2] + transcript.pairs[2][1][:-2]
        assert "6210947000000021" not in whole.hex()
        assert whole.hex().startswith("70175a08620000000")
        assert whole.endswith(b"X" * 10)


def test_a_number_where_no_card_has_one_is_not_recorded_at_all() -> None:
    named = encode(Tag.DEDICATED_FILE_NAME, bytes.fromhex("A00000033301016210947000000021"))
    record = encode(Tag.RECORD, encode(Tag.PAN, bytes.fromhex("6210947000000021")))
    pairs = ((bytes.fromhex("00A4040000"), named + OK), (bytes.fromhex("00B2010C00"), record + OK))
    assert masked_transcript(Reading("virtual", True, "T=1", "read", pairs), NOON) is None
    assert masked_transcript(Reading("virtual", True, "T=1", "read", pairs[1:]), NOON) is not None


def test_an_answer_that_fits_no_transcript_is_not_recorded() -> None:
    pairs = ((bytes.fromhex("00B2010C00"), b"\x90"),)
    assert masked_transcript(Reading("virtual", True, "T=1", "card-malformed", pairs), NOON) is None


# --- test numbers -----------------------------------------------------------------------------------------------------


@given(digits=st.lists(st.text("0123456789", min_size=13, max_size=19), min_size=1, max_size=5, unique=True))
def test_a_test_number_is_like_the_one_it_stands_for(digits: list[str]) -> None:
    numbers = TestNumbers()
    given_out = [numbers(each) for each in digits]
    assert given_out == [numbers(each) for each in digits], "the same again"
    assert len(set(given_out)) == len(digits)
    for own, test in zip(digits, given_out, strict=True):
        assert test != own
        assert (len(test), test[-4:], luhn_valid(test)) == (len(own), own[-4:], luhn_valid(own))


def test_a_card_of_too_many_numbers_is_not_recorded() -> None:
    def reading(count: int) -> Reading:
        numbers = [encode(Tag.PAN, bytes.fromhex(f"62{number:014d}")) for number in range(count)]
        return Reading(
            "virtual", True, "T=1", "card-malformed", ((bytes.fromhex("00B2010C00"), b"".join(numbers) + OK),)
        )

    assert masked_transcript(reading(NUMBERS_MAX), NOON) is not None
    assert masked_transcript(reading(NUMBERS_MAX + 1), NOON) is None


def test_what_is_too_short_for_a_number_becomes_zeros() -> None:
    numbers = TestNumbers()
    assert [numbers("123456789012"), numbers("")] == ["0" * 12, ""]
    assert numbers.replaced == ()


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def reading() -> Reading:
    kept = Kept()
    chip = VirtualChip(card(ChipKind.QPBOC))
    read_through(chip.transmit, chip, kept)
    return kept.readings[0]


def test_a_reading_becomes_a_file_that_only_the_owner_reads(tmp_path: Path, reading: Reading) -> None:
    directory = tmp_path / "var" / "reads"
    ReadRecorder(directory, lambda: NOON).keep(reading)
    (file,) = directory.iterdir()
    assert file.name == "read-20121225T040000-000001-read.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    transcript = parse_transcript(file.read_text("utf-8"))
    assert transcript.header["recorded"] == "2012-12-25T04:00:00+00:00"
    assert (transcript.header["reader"], transcript.header["interface"]) == ("virtual", "contactless")
    assert transcript.header["protocol"] == TransmissionProtocol.T1


def test_only_the_last_readings_are_kept(tmp_path: Path, reading: Reading) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("a person's own file")
    recorder = ReadRecorder(tmp_path, lambda: NOON)
    for _ in range(RECORDED_READS_MAX + 3):
        recorder.keep(reading)
    files = sorted(path.name for path in tmp_path.glob("read-*"))
    assert len(files) == RECORDED_READS_MAX
    assert files[0] == "read-20121225T040000-000004-read.txt"
    assert other.exists()


def test_a_disk_that_refuses_is_told_once_and_breaks_no_read(
    tmp_path: Path, reading: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "reads"
    place.write_text("in the way")
    recorder = ReadRecorder(place, lambda: NOON)
    with caplog.at_level(logging.WARNING):
        recorder.keep(reading)
        recorder.keep(reading)
        assert len(caplog.records) == 1
        place.unlink()
        recorder.keep(reading)
        assert len(list(place.iterdir())) == 1
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
        place.write_text("in the way again")
        recorder.keep(reading)
    assert len(caplog.records) == 2


def test_a_reading_that_cannot_be_masked_is_told_without_its_octets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = ((bytes.fromhex("00B2010C00"), b"\x90"),)
    ReadRecorder(tmp_path, lambda: NOON).keep(Reading("virtual", True, "T=1", "card-malformed", pairs))
    assert list(tmp_path.iterdir()) == []
    assert "cannot be masked" in caplog.text
