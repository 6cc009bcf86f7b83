"""What others signed and published: our check agrees with it, octet for octet."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from drivers.card import Authenticity, AuthenticityReason, CardRead, Pan
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.pboc.authenticity.certificates import CARD, issuer_key
from drivers.pboc.authenticity.dynamic_data import check_signature
from drivers.pboc.authenticity.keys import SchemeKey, SchemeKeys
from drivers.pboc.authenticity.recover import PublicKey, Unproven, recover
from drivers.pboc.authenticity.static_data import STATIC_FORMAT
from drivers.pboc.dol import TerminalData
from drivers.pboc.evidence import Evidence
from drivers.pboc.exchange import TransmissionProtocol
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import Tlv
from tests.fakes import published_cards as published
from tests.fakes.scripted_card import ScriptedCard

NEVER = date(2099, 12, 31)
THREE = b"\x03"
DDA_KEYS = SchemeKeys(
    [
        SchemeKey(
            published.DDA_RID,
            published.DDA_KEY_INDEX,
            PublicKey.of(published.DDA_SCHEME_MODULUS, THREE),
            NEVER,
        )
    ]
)


def read_dda_card(script: published.Script, today: date = published.DDA_TODAY) -> tuple[CardRead, bool]:
    card = ScriptedCard(script)
    data = TerminalData(today, published.DDA_NUMBER)
    terms = ChipTerms(terminal_data=lambda: data, keys=DDA_KEYS)
    reading = ChipReading(card, TransmissionProtocol.T0, contactless=False, reader="slot", terms=terms)
    return reading.read(), card.finished


def test_the_published_dda_card_is_genuine_to_the_octet() -> None:
    read, finished = read_dda_card(published.DDA_CARD)
    assert (read.authenticity, read.authenticity_reason) == (Authenticity.DDA, None)
    assert read.pan == published.DDA_PAN
    assert finished


def altered(old: str, new: str) -> published.Script:
    """The published script with one stretch of an answer changed."""
    script = [(command, answer.replace(old, new)) for command, answer in published.DDA_CARD]
    assert script != published.DDA_CARD
    return script


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("9F4A0182", "9F4A0183", AuthenticityReason.STATIC_DATA),
        ("9F0702FF80", "9F0702FF81", AuthenticityReason.CARD_CERTIFICATE),  # a signed record
        ("800E3C00", "800E3C01", AuthenticityReason.CARD_CERTIFICATE),  # the profile, signed by 9F4A
        ("91C03DC4", "91C03DC5", AuthenticityReason.CARD_CERTIFICATE),
        ("5FCEA152", "5FCEA153", AuthenticityReason.ISSUER_CERTIFICATE),  # the remainder
        ("2008FB40", "2008FB41", AuthenticityReason.ISSUER_CERTIFICATE),
        ("4E82E28C", "4E82E28D", AuthenticityReason.SIGNATURE),
    ],
)
def test_the_published_dda_card_with_one_bit_changed_fails(old: str, new: str, reason: AuthenticityReason) -> None:
    read, _ = read_dda_card(altered(old, new))
    assert (read.authenticity, read.authenticity_reason) == (Authenticity.FAILED, reason)


def test_the_published_card_is_good_until_its_certificates_run_out() -> None:
    read, _ = read_dda_card(published.DDA_CARD, published.DDA_TODAY + timedelta(days=365 * 40))
    assert (read.authenticity, read.authenticity_reason) == (
        Authenticity.FAILED,
        AuthenticityReason.ISSUER_CERTIFICATE,
    )


def visa_evidence() -> Evidence:
    given = (Tlv(Tag.ISSUER_CERTIFICATE, published.VISA_ISSUER_CERTIFICATE), Tlv(Tag.ISSUER_EXPONENT, THREE))
    return Evidence(published.VISA_RID, published.VISA_PAN, b"\x20\x00", given, (), True, {}, False)


def test_the_published_issuer_key_of_1984_bits_is_recovered() -> None:
    scheme = PublicKey.of(published.VISA_SCHEME_MODULUS, THREE)
    key = issuer_key(visa_evidence(), scheme, published.VISA_TODAY)
    assert key == PublicKey.of(published.VISA_ISSUER_MODULUS, THREE)


def test_the_published_issuer_is_not_that_of_another_card() -> None:
    scheme = PublicKey.of(published.VISA_SCHEME_MODULUS, THREE)
    with pytest.raises(Unproven):
        issuer_key(replace(visa_evidence(), pan=published.DDA_PAN), scheme, published.VISA_TODAY)
    with pytest.raises(Unproven):
        issuer_key(visa_evidence(), scheme, published.VISA_TODAY + timedelta(days=1))


def test_the_published_static_signature_gives_back_its_contents() -> None:
    issuer = PublicKey.of(published.VISA_ISSUER_MODULUS, THREE)
    found = recover(published.VISA_STATIC_SIGNATURE, issuer, STATIC_FORMAT, 4)
    assert found is not None
    assert found.body + found.digest == published.VISA_STATIC_RECOVERED
    changed = published.VISA_STATIC_SIGNATURE[:-1] + b"\x88"
    assert recover(changed, issuer, STATIC_FORMAT, 4) is None


def test_the_published_card_certificate_gives_back_number_key_and_digest() -> None:
    issuer = PublicKey.of(published.VISA_ISSUER_MODULUS, THREE)
    found = recover(published.VISA_CARD_CERTIFICATE, issuer, CARD.form, 20)
    assert found is not None
    assert Pan(found.body[1:11].hex().upper().rstrip("F")) == published.VISA_PAN
    assert found.body[20:] == published.VISA_CARD_MODULUS[: -published.VISA_CARD_REMAINDER_OCTETS]
    assert found.digest == published.VISA_CARD_DIGEST


def test_the_published_signature_of_a_card_covers_its_terminals_number_and_no_other() -> None:
    card = PublicKey.of(published.CDA_CARD_MODULUS, THREE)
    check_signature(published.CDA_SIGNATURE, card, published.CDA_NUMBER)
    for signature, covered in (
        (published.CDA_SIGNATURE, published.DDA_NUMBER),
        (published.CDA_SIGNATURE[:-1] + b"\x47", published.CDA_NUMBER),
    ):
        with pytest.raises(Unproven) as caught:
            check_signature(signature, card, covered)
        assert caught.value.verdict.authenticity is Authenticity.FAILED


def test_the_published_unionpay_certificate_gives_back_its_contents() -> None:
    scheme = PublicKey.of(published.UNIONPAY_SCHEME_MODULUS, bytes.fromhex("010001"))
    found = recover(published.UNIONPAY_ISSUER_CERTIFICATE, scheme, 0x02, 14)
    assert found is not None
    assert found.body + found.digest == published.UNIONPAY_RECOVERED
    assert found.body[1:7].hex().upper() == "622800FF1230"
