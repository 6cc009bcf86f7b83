"""Whole reads against transcripts in the shapes that were published for UnionPay cards, with test card numbers.

The scripts fail on any unexpected octet, so a changed sequence shows as a difference here.
"""

from __future__ import annotations

import traceback
from datetime import date

import pytest

from drivers.card import CardError, CardRefused, Expiry, MalformedCard, NotACard, Pan
from drivers.pboc.application import APPLICATIONS_MAX, DIRECTORY_RECORDS_MAX, FALLBACK_AIDS
from drivers.pboc.dol import TerminalData
from drivers.pboc.exchange import TransmissionProtocol
from drivers.pboc.read import AFL_RECORDS_MAX, ChipRead, FileRange, parse_locator, read_card
from drivers.pboc.tlv import encode
from tests.fakes.scripted_card import ScriptedCard
from tests.fakes.spoken import assert_spoken

T0, T1 = TransmissionProtocol.T0, TransmissionProtocol.T1
TERMINAL = TerminalData(date(2020, 3, 31), bytes.fromhex("11223344"))
Script = list[tuple[str, str]]


def tlv(tag: str, *parts: str) -> str:
    """One data object in hex."""
    return encode(int(tag, 16), *(bytes.fromhex(part) for part in parts)).hex().upper()


OK = "9000"
NOT_FOUND = "6A82"
DEBIT = "A000000333010101"
NAME = "202F"
PPSE = "00A404000E 325041592E5359532E4444463031 00"
PSE = "00A404000E 315041592E5359532E4444463031 00"
PSE_T0 = PSE.removesuffix(" 00")
CONTACTLESS_PDOL = tlv("9F38", "9F6604 9F0206 9F0306 9F1A02 9505 5F2A02 9A03 9C01 9F3704")
CONTACTLESS_GPO = "80A80000 23 8321 26000000 000000000001 000000000000 0156 0000000000 0156 200331 00 11223344 00"
EMPTY_GPO = "80A80000 02 8300 00"


def select(aid: str) -> str:
    return f"00A40400 {len(aid) // 2:02X} {aid} 00"


def entry(aid: str, priority: int | None = None) -> str:
    stated = "" if priority is None else tlv("87", f"{priority:02X}")
    return tlv("61", tlv("4F", aid), tlv("50", b"PBOC DEBIT".hex()), stated)


def ppse(*entries: str) -> str:
    return tlv("6F", tlv("84", b"2PAY.SYS.DDF01".hex()), tlv("A5", tlv("BF0C", *entries))) + OK


def fci(aid: str, pdol: str = "") -> str:
    return tlv("6F", tlv("84", aid), tlv("A5", tlv("50", b"PBOC DEBIT".hex()), pdol, tlv("BF0C", "9F4D020B0A"))) + OK


# qPBOC: everything in the processing options, no file locator at all
QPBOC: Script = [
    (PPSE, ppse(entry("A000000333010103", 1))),
    (select("A000000333010103"), fci("A000000333010103", CONTACTLESS_PDOL)),
    (
        CONTACTLESS_GPO,
        tlv(
            "77",
            "82027C00 9F36020003 5713 6231200100000000217D24012010000029700F",
            "9F1013070A0103A01000010A010000000000C270FA1C 9F26089249132C6828543B",
            "9F63103031303433333230000000000000A000 5F340100 9F6C020000",
            tlv("5F20", "20" * 26),
        )
        + OK,
    ),
]

# Two brands on one card: Visa with the better priority, UnionPay with the worse
TWO_BRANDS: Script = [
    (PPSE, ppse(entry("A0000000031010", 1), entry("A000000333010102", 2))),
    (select("A000000333010102"), fci("A000000333010102", CONTACTLESS_PDOL)),
    (CONTACTLESS_GPO, tlv("77", "82022020 5710 6250946000000016D210420100000832") + OK),
]

# Contactless with format 77 and records; the first one has nothing for us, the third is never asked for
CONTACTLESS: Script = [
    (PPSE, ppse(entry(DEBIT, 1))),
    (select(DEBIT), fci(DEBIT)),
    (EMPTY_GPO, tlv("77", "82027C00", tlv("94", "10010201 18010100")) + OK),
    ("00B20114 00", tlv("70", tlv("5F20", NAME)) + OK),
    ("00B20214 00", tlv("70", "5F2403301231 5A0A6231200100000000217F 5F340101") + OK),
]

# Contact, T=0: 61xx and 6Cxx at every step, the directory ended by 6A83, format 80 with four groups, PAN before expiry
_PSE_FCI = tlv("6F", tlv("84", b"1PAY.SYS.DDF01".hex()), tlv("A5", "880101 5F2D027A68"))
_DIRECTORY = tlv("70", entry(DEBIT, 1))
_FCI = fci(DEBIT, tlv("9F38", "9F7A01 9F0206 5F2A02")).removesuffix(OK)
_OPTIONS = tlv("80", "7C00 08010100 10010301 18010200 20010100")
_PAN_RECORD = tlv("70", "5A086210947000000021")
_EXPIRY_RECORD = tlv("70", "5F2403301231 5F2503200101", tlv("9F07", "FF00"))


def octets(answer: str) -> str:
    return f"{len(bytes.fromhex(answer)):02X}"


def fetched(command: str, answer: str) -> Script:
    """A T=0 command with data: 61xx, then GET RESPONSE."""
    return [(command, "61" + octets(answer)), ("00C00000" + octets(answer), answer + OK)]


def asked_twice(command: str, answer: str) -> Script:
    """A T=0 command without data: 6Cxx, then the same with the right length."""
    return [(command + "00", "6C" + octets(answer)), (command + octets(answer), answer + OK)]


CONTACT: Script = [
    *fetched(PSE_T0, _PSE_FCI),
    *asked_twice("00B2010C", _DIRECTORY),
    ("00B2020C00", "6A83"),
    *fetched(select(DEBIT).removesuffix(" 00"), _FCI),
    *fetched("80A80000 0B 8309 00 000000000001 0156", _OPTIONS),
    *asked_twice("00B2010C", _PAN_RECORD),
    *asked_twice("00B20114", tlv("70", tlv("8C", "9F0206"))),
    *asked_twice("00B20214", _EXPIRY_RECORD),
]

# No directory: the list of known identifiers, one by one
NO_DIRECTORY: Script = [
    (PSE, NOT_FOUND),
    (select("A000000333010101"), NOT_FOUND),
    (select("A000000333010102"), fci("A000000333010102")),
    (EMPTY_GPO, tlv("80", "7C00 08010100") + OK),
    ("00B2010C 00", tlv("70", "5710 6250946000000016D301222000000000") + OK),
]

# The card refuses the values it asked for and takes none instead
EMPTY_OPTIONS_ONLY: Script = [
    *QPBOC[:2],
    (CONTACTLESS_GPO, "6700"),
    (EMPTY_GPO, tlv("77", "82027C00 5710 6250946000000016D301222000000000") + OK),
]

# The first application will not open; the second does
SECOND_OPENS: Script = [
    (PPSE, ppse(entry("A000000333010106", 1), entry(DEBIT, 2))),
    (select("A000000333010106"), fci("A000000333010106")),
    (EMPTY_GPO, "6985"),
    (select(DEBIT), fci(DEBIT)),
    (EMPTY_GPO, tlv("77", "82027C00 5710 6250946000000016D301222000000000") + OK),
]

READS = {
    "qpboc-without-records": (QPBOC, T1, True, "6231200100000000217", Expiry(2024, 1), "201"),
    "two-brands-unionpay-first": (TWO_BRANDS, T1, True, "6250946000000016", Expiry(2021, 4), "201"),
    "contactless-records": (CONTACTLESS, T1, True, "6231200100000000217", Expiry(2030, 12), None),
    "contact-t0": (CONTACT, T0, False, "6210947000000021", Expiry(2030, 12), None),
    "no-directory": (NO_DIRECTORY, T1, False, "6250946000000016", Expiry(2030, 12), "220"),
    "empty-options-only": (EMPTY_OPTIONS_ONLY, T1, True, "6250946000000016", Expiry(2030, 12), "220"),
    "second-application-opens": (SECOND_OPENS, T1, True, "6250946000000016", Expiry(2030, 12), "220"),
}


def read(script: Script, protocol: TransmissionProtocol = T1, *, contactless: bool = True) -> ChipRead:
    card = ScriptedCard(script)
    result = read_card(card, protocol, contactless=contactless, terminal_data=TERMINAL)
    assert card.finished
    return result


def opened_with(answer: str) -> Script:
    """A contactless card whose processing options are `answer`."""
    return [(PPSE, ppse(entry(DEBIT, 1))), (select(DEBIT), fci(DEBIT)), (EMPTY_GPO, answer)]


@pytest.mark.parametrize("case", READS)
def test_published_shapes_are_read_with_exactly_these_commands(case: str) -> None:
    script, protocol, contactless, digits, expiry, service_code = READS[case]
    result = read(script, protocol, contactless=contactless)
    assert result.pan == Pan(digits)
    assert (result.expiry, result.service_code) == (expiry, service_code)


def test_a_read_names_the_application_and_hides_the_number() -> None:
    result = read(CONTACT, T0, contactless=False)
    assert (result.aid.hex().upper(), result.label) == (DEBIT, "PBOC DEBIT")
    assert "6210947000000021" not in repr(result)


def test_track2_without_an_expiry_is_a_card_without_an_expiry() -> None:
    assert read(opened_with(tlv("77", "82027C00 5710 6250946000000016D000022000000000") + OK)).expiry is None


def test_the_directory_is_ordered_by_priority_with_the_unprioritised_last() -> None:
    script = [
        (PPSE, ppse(entry("A000000333010108"), entry("A000000333010102", 0x82), entry(DEBIT, 1))),
        (select(DEBIT), NOT_FOUND),
        (select("A000000333010102"), NOT_FOUND),
        (select("A000000333010108"), NOT_FOUND),
    ]
    with pytest.raises(NotACard):
        read(script)


def test_a_foreign_card_alone_is_read_too() -> None:
    visa = "A0000000031010"
    script = [
        (PPSE, ppse(entry(visa, 1))),
        (select(visa), fci(visa)),
        (EMPTY_GPO, tlv("77", "82022000 5710 4111111111111111D301220100000000") + OK),
    ]
    assert read(script).pan == Pan("4111111111111111")


@pytest.mark.parametrize("status", ["6A82", "6D00", "6E00", "6700"])
def test_a_card_without_a_payment_application_is_no_bank_card(status: str) -> None:
    script = [(PPSE, status), *((select(aid.hex().upper()), status) for aid in FALLBACK_AIDS)]
    with pytest.raises(NotACard):
        read(script)


@pytest.mark.parametrize("status", ["6283", "6285", "6A81"])
def test_a_blocked_application_is_told_as_refused_and_never_replaced_by_the_foreign_one(status: str) -> None:
    script = [(PPSE, ppse(entry("A0000000031010", 1), entry(DEBIT, 2))), (select(DEBIT), status)]
    with pytest.raises(CardRefused) as caught:
        read(script)
    assert str(caught.value.details["status_word"]).startswith(status)


def test_an_application_that_will_not_open_is_told_as_refused() -> None:
    with pytest.raises(CardRefused, match="6985 CONDITIONS_NOT_SATISFIED"):
        read(opened_with("6985"))


_TRACK2 = "5710 6250946000000016D301222000000000"
MALFORMED = {
    "no card number": tlv("77", "82027C00"),
    "no expiry": tlv("77", "82027C00 5A086250946000000016"),
    "no interchange profile": tlv("77", _TRACK2),
    "processing options of no known format": tlv("70", _TRACK2),
    "two card numbers that differ": tlv("77", "82027C00 5A086210947000000021", _TRACK2),
    "two expiries that differ": tlv("77", "82027C00 5F2403310131", _TRACK2),
    "expiry of wrong length": tlv("77", "82027C00 5F24023101"),
    "check digit": tlv("77", "82027C00 5710 6250946000000017D301222000000000"),
    "month 13": tlv("77", "82027C00 5710 6250946000000016D301322000000000"),
    "track 2 has no expiry and service code": tlv("77", "82027C00 5710 62509460000000160301222000000000"),
    "track 2 too long": tlv("77", "82027C00 5714", "62" * 20),
    "card number too long": tlv("77", "82027C00 5A0B", "62" * 11),
    "a number of 12 characters": tlv("77", "82027C00 5A06625094600000 5F2403310131"),
    "file locator cut off": tlv("80", "7C00 080101"),
    "file locator out of range": tlv("80", "7C00 FF010100"),
    "57 track 2 equivalent cut off": "7706 82027C00 5713",
}


@pytest.mark.parametrize("reason", MALFORMED)
def test_contradictory_or_broken_card_data_are_malformed(reason: str) -> None:
    with pytest.raises(MalformedCard) as caught:
        read(opened_with(MALFORMED[reason] + OK))
    assert caught.value.details["reason_en"] == reason
    assert_spoken(caught.value)


def test_a_record_that_the_locator_names_and_the_card_lacks_is_malformed() -> None:
    script = [*opened_with(tlv("80", "7C00 08010100") + OK), ("00B2010C 00", "6A83")]
    with pytest.raises(MalformedCard, match="record 1 of file 1 missing"):
        read(script)


def test_a_record_that_is_no_template_is_malformed() -> None:
    script = [*opened_with(tlv("80", "7C00 08010100") + OK), ("00B2010C 00", _TRACK2 + OK)]
    with pytest.raises(MalformedCard, match="record 1 of file 1 is no record"):
        read(script)


def test_issuer_files_above_ten_are_not_read() -> None:
    locator = tlv("94", "58010100 08010100")
    script = [
        *opened_with(tlv("77", "82027C00", locator) + OK),
        ("00B2010C 00", tlv("70", _TRACK2) + OK),
    ]
    assert read(script).pan == Pan("6250946000000016")


@pytest.mark.parametrize("sfi", ["00", "0B", "1F"])
def test_a_directory_file_out_of_range_is_malformed(sfi: str) -> None:
    script = [(PSE, tlv("6F", tlv("A5", tlv("88", sfi))) + OK)]
    with pytest.raises(MalformedCard, match="directory file identifier"):
        read(script, contactless=False)


def test_a_directory_without_end_is_read_to_its_bound() -> None:
    directory = tlv("70", entry("A0000000031010"), entry("A0000000041010"))
    script = [
        (PSE, tlv("6F", tlv("A5", "880101")) + OK),
        *((f"00B2{record:02X}0C 00", directory + OK) for record in range(1, DIRECTORY_RECORDS_MAX + 1)),
        *((select("A0000000031010" if n % 2 == 0 else "A0000000041010"), NOT_FOUND) for n in range(APPLICATIONS_MAX)),
    ]
    with pytest.raises(NotACard):
        read(script, contactless=False)


@pytest.mark.parametrize(
    ("locator", "files"),
    [
        ("", ()),
        ("08010200 10020301", (FileRange(1, 1, 2, 0), FileRange(2, 2, 3, 1))),
        ("F0010101", (FileRange(30, 1, 1, 1),)),
    ],
)
def test_file_locators_parse(locator: str, files: tuple[FileRange, ...]) -> None:
    assert parse_locator(bytes.fromhex(locator)) == files


@pytest.mark.parametrize("locator", ["00010100", "F8010100", "08000100", "08020100", "08010102", "09010100"])
def test_file_locators_out_of_range_are_malformed(locator: str) -> None:
    with pytest.raises(MalformedCard, match="out of range"):
        parse_locator(bytes.fromhex(locator))


def test_a_file_locator_names_a_bounded_number_of_records() -> None:
    assert len(parse_locator(bytes([0x08, 1, AFL_RECORDS_MAX, 0]))) == 1
    with pytest.raises(MalformedCard, match="too many records"):
        parse_locator(bytes([0x08, 1, AFL_RECORDS_MAX, 0, 0x10, 1, 1, 0]))


def test_an_error_brings_no_frames_that_hold_card_data() -> None:
    with pytest.raises(CardError) as caught:
        read(opened_with(MALFORMED["two card numbers that differ"] + OK))
    frames = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "read_card" in frames
    assert "_take_pan" not in frames
