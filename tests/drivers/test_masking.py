from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drivers.card import MalformedCard
from drivers.masking import last_four, mask_answer, mask_command, mask_data, mask_line
from drivers.pboc import tlv
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import TLV_DEPTH_MAX, Tlv, encode
from drivers.virtual.card import DEMO_CARDS, ChipKind, VirtualCard
from drivers.virtual.chip import VirtualChip

PAN = "6210947000000021"
OK = b"\x90\x00"

# Wherever a card might put its number: the tags meant for it, those of the holder and the issuer, certificates whose
# recovered content begins with it, private tags, and harmless ones that it has no business in.
HOLDING = (
    *(0x57, 0x5A, 0x9F6B, 0x56, 0x5F20, 0x9F0B, 0x9F1F, 0x9F20, 0x9F10, 0x9F24, 0x9F25, 0x9F19, 0x5F34, 0x5F24),
    *(0x90, 0x92, 0x93, 0x9F46, 0x9F48, 0x9F4B, 0x9F26, 0x9F69, 0x50, 0x9F12, 0x9F38, 0x8C, 0x8E, 0x5F50, 0x42),
    *(0xDF01, 0xDF8101, 0x9F7F, 0xC1, 0x01),
)
TEXTS = {0x50, 0x9F12}  # letters are told: only a number that is written in digits can be seen in them
FOUND_IN = ((0x70,), (0x77,), (0x6F, 0xA5, 0xBF0C), (0x6F, 0xA5, 0xBF0C, 0x61), (0x70, 0xE1))

pans = st.text("0123456789", min_size=12, max_size=18).map(lambda rest: "6" + rest)


def forms(digits: str) -> dict[str, bytes]:
    """The ways in which octets hold a number."""
    return {
        "ASCII": digits.encode(),
        "packed": bytes.fromhex(digits + "F" * (len(digits) % 2)),
        "packed half an octet later": bytes.fromhex("0" + digits + "F" * ((len(digits) + 1) % 2)),
        "track 1": f"B{digits}^ZHANG/SAN^30122200000?".encode(),
        "track 2": bytes.fromhex((track := f"{digits}D30122200000") + "F" * (len(track) % 2)),
    }


def holds(octets: bytes, digits: str) -> bool:
    return digits.encode() in octets or digits in octets.hex()


def shape(nodes: Sequence[Tlv]) -> list[object]:
    return [(node.tag, len(node.value), shape(node.children)) for node in nodes]


def wrapped(path: Sequence[int], content: bytes) -> bytes:
    for tag in reversed(path):
        content = encode(tag, content)
    return content


# --- answers ----------------------------------------------------------------------------------------------------------


@given(
    pan=pans,
    path=st.sampled_from(FOUND_IN),
    objects=st.lists(st.tuples(st.sampled_from(HOLDING), st.sampled_from(sorted(forms(PAN)))), min_size=1, max_size=6),
    before=st.binary(max_size=3),
)
@example(pan=PAN, path=(0x70,), objects=[(0x8C, "packed half an octet later")], before=b"")
@example(pan=PAN, path=(0x77,), objects=[(0x5A, "track 2"), (0x57, "ASCII")], before=b"\x00")
def test_a_number_in_whatever_tag_and_form_is_never_told(
    pan: str, path: Sequence[int], objects: list[tuple[int, str]], before: bytes
) -> None:
    objects = [(tag, "ASCII" if tag in TEXTS else form) for tag, form in objects]
    data = wrapped(path, b"".join(encode(tag, before + forms(pan)[form]) for tag, form in objects))
    assert holds(data, pan)
    masked = mask_answer(data + OK)
    assert masked is not None
    assert not holds(masked, pan)
    assert masked[-2:] == OK
    assert shape(tlv.parse(masked[:-2])) == shape(tlv.parse(data)), "the structure stays"


@given(data=st.binary(max_size=300), pan=pans)
def test_octets_of_any_kind_keep_their_length(data: bytes, pan: str) -> None:
    octets = data + bytes.fromhex(pan + "F" * (len(pan) % 2))
    assert len(mask_data(octets)) == len(octets)
    told = mask_answer(octets + OK)
    assert told is None or len(told) == len(octets) + 2


@given(data=st.binary(max_size=120))
def test_what_breaks_the_standard_breaks_it_in_the_same_way_afterwards(data: bytes) -> None:
    def verdict(octets: bytes) -> object:
        try:
            return shape(tlv.parse(octets))
        except MalformedCard as error:
            return error.details["reason_en"]

    assert verdict(mask_data(data)) == verdict(data)


def test_a_tree_that_is_too_deep_stays_so() -> None:
    deep = wrapped([0xE1] * (TLV_DEPTH_MAX + 1), encode(Tag.PAN, bytes.fromhex(PAN)))
    masked = mask_data(deep)
    assert not holds(masked, PAN)
    with pytest.raises(MalformedCard) as raised:
        tlv.parse(masked)
    assert raised.value.details["reason_en"] == "TLV nested too deeply"


def test_what_stays_of_track_2_is_the_last_four_digits_expiry_and_service_code() -> None:
    track = bytes.fromhex("6231200100000000217D491222012345678F")
    masked = mask_answer(encode(Tag.RECORD, encode(Tag.TRACK_2_EQUIVALENT, track)) + OK)
    assert masked is not None
    (told,) = (node.value.hex().upper() for node in tlv.walk(tlv.parse(masked[:-2])) if node.tag == 0x57)
    assert told == "0000000000000000217D491222000000000F"


def test_a_number_keeps_its_last_four_digits_and_its_fill() -> None:
    number = bytes.fromhex("6231200100000000217F")
    masked = mask_answer(encode(Tag.RECORD, encode(Tag.PAN, number), encode(Tag.HOLDER_NAME, b"ZHANG/SAN")) + OK)
    assert masked is not None
    pan, name = tlv.parse(masked[:-2])[0].children
    assert pan.value.hex().upper() == "0000000000000000217F"
    assert name.value == b"XXXXXXXXX"


@pytest.mark.parametrize(
    "tag", [0x5F20, 0x9F0B, 0x9F1F, 0x9F20, 0x56, 0x9F10, 0x9F24, 0x9F26, 0x42, 0x90, 0x9F46, 0xDF01]
)
def test_names_discretionary_data_certificates_and_unknown_tags_are_written_over(tag: int) -> None:
    masked = mask_answer(encode(Tag.RECORD, encode(tag, b"LI\x01")) + OK)
    assert masked == encode(Tag.RECORD, encode(tag, b"XXX")) + OK
    empty = encode(Tag.RECORD, encode(tag, bytes(3))) + OK
    assert mask_answer(empty) == empty, "zeros say nothing, and that is worth knowing"


def test_what_tells_how_a_card_is_built_is_told() -> None:
    control = encode(
        Tag.FILE_CONTROL_INFORMATION,
        encode(Tag.DEDICATED_FILE_NAME, bytes.fromhex("A0000003330101010000000000000000")),
        encode(
            Tag.FCI_PROPRIETARY,
            encode(Tag.APPLICATION_LABEL, b"PBOC DEBIT"),
            encode(Tag.PROCESSING_OPTIONS_LIST, bytes.fromhex("9F66049F02069F03069F1A0295055F2A029A039C019F3704")),
        ),
    )
    options = encode(Tag.OPTIONS_FORMAT_1, bytes.fromhex("7C00 08010100 10010301 18010200 20010200"))
    listed = encode(Tag.OPTIONS_FORMAT_2, encode(Tag.FILE_LOCATOR, bytes.fromhex("08010100 10010301 18010200")))
    for answer in (control, options, listed):
        assert mask_answer(answer + OK) == answer + OK


def test_a_list_of_files_that_is_none_is_not_told() -> None:
    for tag in (Tag.OPTIONS_FORMAT_1, Tag.FILE_LOCATOR):
        data = encode(tag, bytes.fromhex("7C00" + PAN))
        assert not holds(mask_data(data), PAN)


@pytest.mark.parametrize(
    "octets",
    [
        bytes.fromhex("5A08" + PAN) + OK,  # the middle of a longer answer may look like an object of its own
        bytes.fromhex("7010" + PAN) + OK,  # cut off
        bytes.fromhex(PAN) + OK,
        encode(Tag.RECORD, b"") * 2 + OK,
    ],
)
def test_what_is_no_whole_answer_is_not_told(octets: bytes) -> None:
    assert mask_answer(octets) is None


@pytest.mark.parametrize("octets", [OK, b"\x6a\x82", b"\x61\x20", b"\x90"])
def test_a_status_word_alone_is_told(octets: bytes) -> None:
    assert mask_answer(octets) == octets


@pytest.mark.parametrize("digits", ["", "123", "123456789012"])
def test_nothing_stays_of_what_is_too_short_for_a_number(digits: str) -> None:
    assert last_four(digits) == "0" * len(digits)


@pytest.mark.parametrize("kind", [ChipKind.CONTACTLESS, ChipKind.QPBOC])
def test_a_virtual_cards_answers_are_all_told_and_hold_no_number(kind: ChipKind) -> None:
    member = DEMO_CARDS["member"]
    chip = VirtualChip(VirtualCard("x", member.title, member.digits, chip=kind))
    told = [mask_answer(chip.transmit(bytes.fromhex(command))) for command in commands_for(chip)]
    assert all(each is not None and not holds(each, member.digits) for each in told)
    assert any(each is not None and member.digits[-4:] in each.hex() for each in told)


def commands_for(chip: VirtualChip) -> list[str]:
    select = "00A40400 07 A0000003330101 00".replace(" ", "")
    pdol = next(node for node in tlv.walk(tlv.parse(chip.transmit(bytes.fromhex(select))[:-2])) if node.tag == 0x9F38)
    asked = sum(pdol.value[index] for index in _lengths(pdol.value))
    options = f"80A80000{asked + 2:02X}83{asked:02X}" + "00" * asked + "00"
    return [select, options, "00B2011400", "00B2021400"]


def _lengths(pdol: bytes) -> list[int]:
    places, index = [], 0
    while index < len(pdol):
        _, index = tlv.read_tag(pdol, index)
        places.append(index)
        index += 1
    return places


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "00A404000E325041592E5359532E444446303100",
        "00A4040007A000000333010100",
        "00B2010C00",
        "00C0000020",
        "80A80000128310000000000001015626112400" + "12345678" + "00",
        "00880000041234567800",
    ],
)
def test_our_own_commands_are_told_in_full(command: str) -> None:
    assert mask_command(bytes.fromhex(command)) == bytes.fromhex(command)


def test_a_command_with_data_of_the_cards_is_told_without_them() -> None:
    named = mask_command(bytes.fromhex("00A4040008" + PAN + "00"))
    other = mask_command(bytes.fromhex("00DA010108" + PAN))
    assert named == bytes.fromhex("00A4040008") + b"XXXXXXXX\x00"
    assert other == bytes.fromhex("00DA010108") + b"XXXXXXXX"
    assert mask_command(bytes.fromhex("00A404")) is None


# --- lines ------------------------------------------------------------------------------------------------------------


def test_a_line_shows_its_frame_and_nothing_within() -> None:
    frame = b"\x02%B6210947000000021^ZHANG/SAN^?;6210947000000021=49122200000?\x034\r\n"
    assert mask_line(frame) == "<02>%*****************^*********^?;****************=***********?<03>*<0D><0A>"


@given(pan=pans, cut=st.integers(0, 30))
def test_no_digit_of_a_line_is_told_wherever_it_is_cut(pan: str, cut: int) -> None:
    line = f";{pan}=3012220?\r".encode()
    told = mask_line(line[:cut]) + mask_line(line[cut:])
    assert not any(character.isdigit() for character in told.replace("<0D>", ""))
