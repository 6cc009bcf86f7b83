"""Every published kind of card conversation is read with exactly its commands, and none holds a real card's data."""

from __future__ import annotations

import re

import pytest

from drivers.card import CardError, CardRead, luhn_valid
from drivers.chip_reading import ChipReading
from drivers.pboc.exchange import READ_ONLY_COMMANDS
from drivers.pboc.read import read_card
from drivers.pboc.tags import Tag
from drivers.virtual.replay import ReplayChip, read_again
from tests.fakes.transcripts import TERMINAL, TERMS, TRANSCRIPTS, check_outcome

# Numbers that belong to nobody: ours, and two that payment schemes publish for tests
TEST_NUMBERS = {
    "6210947000000021",
    "6212345678901265",
    "6212345678900000003",
    "6231200100000000217",
    "6217790001000000030",
    "6250946000000016",
    "4111111111111111",
    "5555555555554444",
}
STRANGER = "6225880000000001"  # not on the list
PUBLISHED = {  # the kinds that the sources show, by the file that stands for each
    "nfsee UnionPay3": "qpboc-no-file-list",
    "nfsee VISA_UP": "two-brands",
    "nfsee VISA": "foreign-visa",
    "nfsee MC": "foreign-mastercard",
    "nfsee MC2": "foreign-track-2-in-9f6b",
    "cnblogs 4467111": "qpboc-debit",
    "cnblogs 4467215": "contact-t0",
    "csdn 78828272 and 80951826": "contact-four-groups",
    "csdn 60868407": "directory-repeated-entries",
    "csdn 49637177": "contact-long-records",
    "qpboc-kernel log": "qpboc-timed",
    "devnied wrapperTestSW_61 and _6C": "chained-answers",
    "devnied LockedCard": "locked-card",
    "devnied UnionPayPseDirectory": "contact-three-applications",
    "devnied VisaCardPpseNoOptions": "options-only-without-values",
    "devnied VisaCardAid": "no-directory",
    "devnied UnknownCard": "no-bank-card",
    "devnied's last resort": "options-unknown",
    "emv-utils PSE blocked": "directory-blocked",
    "emv-utils application blocked": "application-blocked",
    "emv-utils card blocked": "card-blocked",
    "emv-utils next application": "second-application-opens",
}


def outcome_of(chip: ReplayChip) -> CardRead | CardError:
    reading = ChipReading(chip.transmit, chip.protocol, contactless=chip.contactless, reader="replay", terms=TERMS)
    try:
        return reading.read()
    except CardError as error:
        return error


@pytest.mark.parametrize("name", [name for name in TRANSCRIPTS if name != "pulled"])
def test_a_recorded_card_is_read_with_exactly_the_recorded_octets(name: str) -> None:
    chip = ReplayChip(TRANSCRIPTS[name], exact=True)
    outcome = outcome_of(chip)
    assert chip.deviation is None
    assert chip.finished
    check_outcome(name, outcome)


@pytest.mark.parametrize("name", [name for name, transcript in TRANSCRIPTS.items() if "label" in transcript.header])
def test_the_application_read_is_the_recorded_one(name: str) -> None:
    chip = ReplayChip(TRANSCRIPTS[name], exact=True)
    read = read_card(chip.transmit, chip.protocol, contactless=chip.contactless, terminal_data=TERMINAL)
    assert read.label == TRANSCRIPTS[name].header["label"]


def test_a_card_pulled_in_the_recording_is_pulled_in_the_replay() -> None:
    with pytest.raises(CardError) as caught:
        read_again(TRANSCRIPTS["pulled"], terms=TERMS, exact=True)
    check_outcome("pulled", caught.value)


@pytest.mark.parametrize("kind", PUBLISHED)
def test_every_published_kind_of_conversation_has_its_transcript(kind: str) -> None:
    assert PUBLISHED[kind] in TRANSCRIPTS


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_transcript_says_what_it_is_and_only_reads(name: str) -> None:
    transcript = TRANSCRIPTS[name]
    assert {"card", "interface", "protocol", "source"} <= transcript.header.keys()
    assert {tuple(command[:2]) for command, _ in transcript.pairs} <= READ_ONLY_COMMANDS


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_transcript_holds_no_number_but_test_numbers(name: str) -> None:
    transcript = TRANSCRIPTS[name]
    answers = "".join(answer[:-2].hex().upper() for _, answer in transcript.pairs)
    words = re.sub(r"[^0-9]+", " ", " ".join(transcript.header.values()))
    assert numbers_in(answers) | {word for word in words.split() if len(word) >= 13} <= TEST_NUMBERS


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_transcript_names_nobody(name: str) -> None:
    answers = b"".join(answer[:-2] for _, answer in TRANSCRIPTS[name].pairs)
    for part in answers.split(Tag.HOLDER_NAME.to_bytes(2))[1:]:
        assert not part[1 : 1 + part[0]].strip(b" /")


@pytest.mark.parametrize(
    "octets", ["5713{}D2212201000F", "570062{}D2212", "5A08{}5F3401", "7{}F", "9F1F12{}00", "6B{}99"]
)
def test_the_search_for_numbers_finds_one_at_any_nibble(octets: str) -> None:
    assert luhn_valid(STRANGER)
    found = numbers_in(octets.format(STRANGER))
    assert any(STRANGER in number for number in found)


def numbers_in(nibbles: str) -> set[str]:
    """Every Luhn-good run of 16 to 19 digits that begins as UnionPay's do, at whatever nibble; of other schemes those
    that track 2's separator ends or tag 5A begins, for the letters of a label are digits, too."""
    found = set()
    for start in range(len(nibbles)):
        for length in range(16, 20):
            number = nibbles[start : start + length]
            if len(number) < length or not number.isdecimal():
                continue
            marked = nibbles.startswith("D", start + length) or nibbles[:start].endswith(("5A08", "5A0A"))
            if (number.startswith("62") or (marked and number[0] in "345")) and luhn_valid(number):
                found.add(number)
    return {number for number in found if not any(number in other for other in found - {number})}
