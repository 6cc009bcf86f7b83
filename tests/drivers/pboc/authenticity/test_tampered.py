"""Every field of what an issuer and a chip sign, changed one at a time: each gives its own reason, none passes.

Longer than most files here, for it is one table: what is missing from it shows only while it stands in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

import pytest

from drivers.card import AuthenticityReason as Reason
from drivers.pboc.apdu import CommandApdu, StatusWord
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import encode
from drivers.virtual.authority import CertificateText, SignedData, certify
from drivers.virtual.card import ChipKind, ChipProof
from drivers.virtual.demo_authority import DEMO_AUTHORITY as AUTHORITY
from drivers.virtual.signed_chip import SignedChip
from tests.fakes.signed_cards import (
    DDA,
    SDA,
    TODAY,
    Outcome,
    authority_of,
    card,
    data_of,
    failed,
    keys_of,
    outcome,
    outcome_of,
    static_of,
    unverified,
    with_objects,
)

DYNAMIC = card()
STATIC = card(proof=ChipProof.STATIC)
EVERY_KIND = [ChipKind.CONTACT, ChipKind.CONTACTLESS, ChipKind.QPBOC]
CHANGED_IN: dict[Tag, Reason] = {  # one bit of the value
    Tag.ISSUER_CERTIFICATE: Reason.ISSUER_CERTIFICATE,
    Tag.ISSUER_REMAINDER: Reason.ISSUER_CERTIFICATE,
    Tag.ISSUER_EXPONENT: Reason.ISSUER_CERTIFICATE,
    Tag.CARD_CERTIFICATE: Reason.CARD_CERTIFICATE,
    Tag.CARD_REMAINDER: Reason.CARD_CERTIFICATE,
    Tag.CARD_EXPONENT: Reason.CARD_CERTIFICATE,
}
NEEDED = [
    Tag.SCHEME_KEY_INDEX,
    Tag.ISSUER_CERTIFICATE,
    Tag.ISSUER_EXPONENT,
    Tag.CARD_CERTIFICATE,
    Tag.CARD_EXPONENT,
]


def with_issuer(**changes: object) -> SignedData:
    """A card under an issuer's certificate that is properly signed and says something else."""
    made = certify(AUTHORITY.scheme, replace(AUTHORITY.issuer_text(DYNAMIC.digits), **changes))  # type: ignore[arg-type]
    return with_objects(data_of(DYNAMIC), {Tag.ISSUER_CERTIFICATE: made.signed, Tag.ISSUER_REMAINDER: made.remainder})


def with_card(outside: bytes = static_of(DYNAMIC), **changes: object) -> SignedData:
    """A card whose own certificate is properly signed and says something else."""
    made = certify(AUTHORITY.issuer, replace(AUTHORITY.card_text(DYNAMIC.digits), **changes), outside)  # type: ignore[arg-type]
    return with_objects(data_of(DYNAMIC), {Tag.CARD_CERTIFICATE: made.signed, Tag.CARD_REMAINDER: made.remainder})


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize(
    ("proof", "expected"),
    [
        (ChipProof.DYNAMIC, DDA),
        (ChipProof.STATIC, SDA),
        (ChipProof.COPIED, failed(Reason.SIGNATURE)),
    ],
)
def test_an_untouched_card_gives_its_own_verdict(kind: ChipKind, proof: ChipProof, expected: Outcome) -> None:
    held = card(kind, proof)
    assert outcome_of(held, data_of(held)) == expected


@pytest.mark.parametrize(
    "octets", [(128, 128, 128), (176, 144, 128), (248, 248, 128), (248, 128, 128), (176, 128, 128)]
)
@pytest.mark.parametrize("exponent", [3, 65_537])
def test_keys_of_every_length_with_and_without_remainders(octets: tuple[int, int, int], exponent: int) -> None:
    authority = authority_of(*octets, exponent=exponent)
    for kind in (ChipKind.CONTACT, ChipKind.CONTACTLESS):
        held = card(kind)
        assert outcome(SignedChip(held, data_of(held, authority)), keys_of(authority)) == DDA


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("tag", CHANGED_IN)
def test_one_bit_of_a_certificate_is_enough(kind: ChipKind, tag: Tag) -> None:
    held = card(kind)
    data = data_of(held)
    value = data.objects[tag]
    for octet in {0, len(value) // 2, len(value) - 1}:
        changed = bytearray(value)
        changed[octet] ^= 0x10
        assert outcome_of(held, with_objects(data, {tag: bytes(changed)})) == failed(CHANGED_IN[tag])


@pytest.mark.parametrize("tag", CHANGED_IN)
def test_a_certificate_part_of_another_length_fails(tag: Tag) -> None:
    data = data_of(DYNAMIC)
    for value in (data.objects[tag] + b"\x00", b"\x00" + data.objects[tag]):
        assert outcome_of(DYNAMIC, with_objects(data, {tag: value})) == failed(CHANGED_IN[tag])


@pytest.mark.parametrize("tag", NEEDED)
@pytest.mark.parametrize("value", [None, b""])
def test_what_the_chip_promises_and_lacks_fails_it(tag: Tag, value: bytes | None) -> None:
    assert outcome_of(DYNAMIC, with_objects(data_of(DYNAMIC), {tag: value})) == failed(Reason.DATA_MISSING)


@pytest.mark.parametrize("tag", [Tag.ISSUER_REMAINDER, Tag.CARD_REMAINDER])
def test_a_missing_remainder_fails_its_certificate(tag: Tag) -> None:
    assert outcome_of(DYNAMIC, with_objects(data_of(DYNAMIC), {tag: None})) == failed(CHANGED_IN[tag])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"form": 0x04}, failed(Reason.ISSUER_CERTIFICATE)),
        ({"name": bytes.fromhex("623121FF")}, failed(Reason.ISSUER_CERTIFICATE)),  # another bank's
        ({"name": bytes.fromhex("62FFFFFF")}, failed(Reason.ISSUER_CERTIFICATE)),  # two digits name no bank
        ({"name": bytes.fromhex("6A3120FF")}, failed(Reason.ISSUER_CERTIFICATE)),
        ({"name": bytes.fromhex("62312001")}, DDA),  # eight digits
        ({"name": bytes.fromhex("623FFFFF")}, DDA),  # three
        ({"expiry": bytes.fromhex("0626")}, failed(Reason.ISSUER_CERTIFICATE)),  # the month before
        ({"expiry": bytes.fromhex("0726")}, DDA),  # this month, to its last day
        ({"expiry": bytes.fromhex("1349")}, failed(Reason.ISSUER_CERTIFICATE)),
        ({"expiry": bytes.fromhex("0049")}, failed(Reason.ISSUER_CERTIFICATE)),
        ({"expiry": bytes.fromhex("1A49")}, failed(Reason.ISSUER_CERTIFICATE)),
        ({"serial": bytes.fromhex("FFFFFF")}, DDA),  # the issuer's own affair
        ({"hash_algorithm": 0x02}, unverified(Reason.UNSUPPORTED_ALGORITHM)),
        ({"key_algorithm": 0x04}, unverified(Reason.UNSUPPORTED_ALGORITHM)),  # SM2
        ({"modulus_length": 127}, failed(Reason.ISSUER_CERTIFICATE)),
        ({"modulus_length": 63}, failed(Reason.ISSUER_CERTIFICATE)),
        ({"modulus_length": 255}, failed(Reason.ISSUER_CERTIFICATE)),
        ({"exponent_length": 1}, failed(Reason.ISSUER_CERTIFICATE)),
    ],
)
def test_every_field_of_the_issuers_certificate(changes: dict[str, object], expected: Outcome) -> None:
    assert outcome_of(DYNAMIC, with_issuer(**changes)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"form": 0x02}, failed(Reason.CARD_CERTIFICATE)),
        ({"name": bytes.fromhex("6231207000000000030F")}, failed(Reason.CARD_CERTIFICATE)),
        ({"name": bytes.fromhex("6210947000000021FFFF")}, failed(Reason.CARD_CERTIFICATE)),  # another card's
        ({"name": b"\xff" * 10}, failed(Reason.CARD_CERTIFICATE)),
        ({"expiry": bytes.fromhex("0626")}, failed(Reason.CARD_CERTIFICATE)),
        ({"expiry": bytes.fromhex("0726")}, DDA),
        ({"serial": bytes.fromhex("FFFFFF")}, DDA),
        ({"hash_algorithm": 0x02}, unverified(Reason.UNSUPPORTED_ALGORITHM)),
        ({"key_algorithm": 0x04}, unverified(Reason.UNSUPPORTED_ALGORITHM)),
        ({"modulus_length": 127}, failed(Reason.CARD_CERTIFICATE)),
        ({"modulus_length": 129}, failed(Reason.CARD_CERTIFICATE)),  # longer than the issuer's
        ({"exponent_length": 3}, failed(Reason.CARD_CERTIFICATE)),
        ({"outside": b"other data"}, failed(Reason.CARD_CERTIFICATE)),
        ({"outside": static_of(DYNAMIC)[:-2]}, failed(Reason.CARD_CERTIFICATE)),  # without the profile
    ],
)
def test_every_field_of_the_cards_certificate(changes: dict[str, object], expected: Outcome) -> None:
    assert outcome_of(DYNAMIC, with_card(**changes)) == expected  # type: ignore[arg-type]


def test_a_certificate_of_a_key_with_another_exponent_fails() -> None:
    odd = replace(AUTHORITY.issuer, exponent=5)
    made = certify(AUTHORITY.scheme, replace(AUTHORITY.issuer_text(DYNAMIC.digits), key=odd))
    data = with_objects(
        data_of(DYNAMIC),
        {
            Tag.ISSUER_CERTIFICATE: made.signed,
            Tag.ISSUER_REMAINDER: made.remainder,
            Tag.ISSUER_EXPONENT: b"\x05",
        },
    )
    assert outcome_of(DYNAMIC, data) == failed(Reason.ISSUER_CERTIFICATE)


@pytest.mark.parametrize(("header", "trailer"), [(b"\x6b", b"\xbc"), (b"\x6a", b"\xcc")])
def test_another_header_or_trailer_is_no_signature(header: bytes, trailer: bytes) -> None:
    issuer = AUTHORITY.issuer
    code = issuer.padded(bytes.fromhex("03010001"))
    signed = issuer.sign(code, static_of(STATIC), header=header, trailer=trailer)
    assert outcome_of(STATIC, with_objects(data_of(STATIC), {Tag.STATIC_SIGNATURE: signed})) == failed(
        Reason.SIGNED_DATA
    )


def static_signature(body: bytes, outside: bytes) -> Callable[[], bytes]:
    return lambda: AUTHORITY.issuer.sign(AUTHORITY.issuer.padded(body), outside)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (static_signature(bytes.fromhex("0301FFFF"), static_of(STATIC)), SDA),  # the issuer's code is its own affair
        (static_signature(bytes.fromhex("03010001"), b"other data"), failed(Reason.SIGNED_DATA)),
        (static_signature(bytes.fromhex("03010001"), static_of(DYNAMIC)), failed(Reason.SIGNED_DATA)),  # its profile
        (static_signature(bytes.fromhex("05010001"), static_of(STATIC)), failed(Reason.SIGNED_DATA)),
        (static_signature(bytes.fromhex("03020001"), static_of(STATIC)), unverified(Reason.UNSUPPORTED_ALGORITHM)),
        (lambda: b"\xff" * 128, failed(Reason.SIGNED_DATA)),  # a number beyond the modulus
        (lambda: b"\x01" * 127, failed(Reason.SIGNED_DATA)),
    ],
)
def test_every_field_of_the_static_signature(made: Callable[[], bytes], expected: Outcome) -> None:
    assert outcome_of(STATIC, with_objects(data_of(STATIC), {Tag.STATIC_SIGNATURE: made()})) == expected


def test_a_static_signature_that_is_promised_and_missing() -> None:
    data = with_objects(data_of(STATIC), {Tag.STATIC_SIGNATURE: None})
    assert outcome_of(STATIC, data) == failed(Reason.DATA_MISSING)


class Altered(SignedChip):
    """A chip whose records are changed after the issuer signed."""

    _gone = 0

    def signed_record(self, content: bytes) -> Altered:
        self._records[2, 1] = encode(Tag.RECORD, content)
        return self

    def without_signed_mark(self) -> Altered:
        self._signed = frozenset()
        return self

    def without_record(self, sfi: int) -> Altered:
        """The file's first record is named in the file locator and not there."""
        self._gone = sfi
        return self

    def _record(self, apdu: CommandApdu) -> tuple[bytes, StatusWord]:
        return super()._record(replace(apdu, p1=99) if apdu.p2 >> 3 == self._gone else apdu)


@pytest.mark.parametrize(
    ("proof", "changed", "plain"),
    [(ChipProof.DYNAMIC, Reason.CARD_CERTIFICATE, DDA), (ChipProof.STATIC, Reason.SIGNED_DATA, SDA)],
)
def test_the_signed_records_are_what_was_signed(proof: ChipProof, changed: Reason, plain: Outcome) -> None:
    which = card(proof=proof)
    content = static_of(which)[:-2]
    data = data_of(which)
    assert outcome(Altered(which, data).signed_record(content)) == plain
    longer = content + encode(Tag.COUNTRY, b"\x01\x56")
    assert outcome(Altered(which, data).signed_record(longer)) == failed(changed)
    later = content.replace(bytes.fromhex("491228"), bytes.fromhex("491229"))
    assert later != content
    assert outcome(Altered(which, data).signed_record(later)) == failed(changed)
    assert outcome(Altered(which, data).without_signed_mark()) == failed(changed)


@pytest.mark.parametrize("listed", [b"\x82\x82", b"\x94", b"\x82\x94", b"\x00"])
def test_the_list_of_signed_tags_may_name_the_profile_alone(listed: bytes) -> None:
    content = static_of(DYNAMIC)[:-2].replace(bytes.fromhex("9F4A0182"), encode(Tag.STATIC_TAG_LIST, listed))
    assert outcome(Altered(DYNAMIC, data_of(DYNAMIC)).signed_record(content)) == failed(Reason.STATIC_DATA)


@pytest.mark.parametrize(("sfi", "expected"), [(2, Reason.DATA_MISSING), (3, Reason.DATA_MISSING)])
def test_a_record_that_is_named_and_missing(sfi: int, expected: Reason) -> None:
    """Track 2 was read before, so the card's number is known all the same."""
    assert outcome(Altered(DYNAMIC, data_of(DYNAMIC)).without_record(sfi)) == failed(expected)


def test_a_good_signature_that_leaves_the_number_out_proves_nothing() -> None:
    content = bytes.fromhex("5F3401019F4A0182")
    profile = bytes.fromhex("5C00")
    data = AUTHORITY.personalise(STATIC.digits, content + profile)
    assert outcome(Altered(STATIC, data).signed_record(content)) == unverified(Reason.NUMBER_NOT_SIGNED)


def test_an_unknown_an_expired_and_a_wrong_scheme_key() -> None:
    chip = SignedChip(DYNAMIC, data_of(DYNAMIC))
    other = authority_of(176)
    assert outcome(chip, keys_of(other)) == unverified(Reason.UNKNOWN_KEY)
    last_day = keys_of(expires=TODAY)
    assert outcome(chip, last_day) == DDA
    assert outcome(chip, last_day, today=date(2026, 7, 2)) == unverified(Reason.KEY_EXPIRED)
    impostor = replace(other, index=AUTHORITY.index)  # the right index, another's signature
    assert outcome(SignedChip(DYNAMIC, data_of(DYNAMIC, impostor))) == failed(Reason.ISSUER_CERTIFICATE)


class Signing(SignedChip):
    """A chip that signs with a body of ours, or answers INTERNAL AUTHENTICATE with anything at all."""

    body: bytes = b""
    answer: Callable[[bytes], bytes] = staticmethod(lambda signature: encode(Tag.OPTIONS_FORMAT_1, signature))

    def _sign(self, values: bytes) -> tuple[bytes, StatusWord]:
        data, status = super()._sign(values)
        signature = self._key.sign(self._key.padded(self.body), values) if self.body else data[3:]
        return self.answer(signature), status


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("0501080102030405060708", DDA),
        ("050100", DDA),
        ("0501FF", failed(Reason.SIGNATURE)),  # longer than the signature
        ("0301080102030405060708", failed(Reason.SIGNATURE)),
        ("0502080102030405060708", unverified(Reason.UNSUPPORTED_ALGORITHM)),
    ],
)
def test_every_field_of_the_chips_signature(body: str, expected: Outcome) -> None:
    chip = Signing(DYNAMIC, data_of(DYNAMIC))
    chip.body = bytes.fromhex(body)
    assert outcome(chip) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda signature: encode(0x77, encode(Tag.DYNAMIC_SIGNATURE, signature)), DDA),
        (lambda signature: encode(0x77, encode(Tag.PAN_SEQUENCE, b"\x01")), failed(Reason.SIGNATURE)),
        (lambda signature: encode(0x70, signature), failed(Reason.SIGNATURE)),
        (lambda signature: signature, failed(Reason.SIGNATURE)),
        (lambda signature: encode(0x80), failed(Reason.SIGNATURE)),
        (lambda signature: encode(0x80, signature[:64]) * 2, failed(Reason.SIGNATURE)),
        (lambda signature: encode(0x80, signature[1:]), failed(Reason.SIGNATURE)),
        (lambda signature: encode(0x80, bytes(128)), failed(Reason.SIGNATURE)),
    ],
)
def test_every_shape_of_the_answer(answer: Callable[[bytes], bytes], expected: Outcome) -> None:
    class Shaped(Signing):
        pass

    Shaped.answer = staticmethod(answer)
    assert outcome(Shaped(card(), data_of(card()))) == expected


@pytest.mark.parametrize(
    ("ddol", "expected"),
    [
        (bytes.fromhex("9F3704"), DDA),
        (bytes.fromhex("9F37049A039F0206"), DDA),
        (bytes.fromhex("9F3708"), DDA),
        (None, DDA),  # the default list
        (bytes.fromhex("9F3703"), failed(Reason.DATA_MISSING)),  # an old signature would pass one time in 16 million
        (bytes.fromhex("9F3700"), failed(Reason.DATA_MISSING)),
        (bytes.fromhex("9A03"), failed(Reason.DATA_MISSING)),
        (bytes.fromhex("9F37"), failed(Reason.DATA_MISSING)),
        (bytes.fromhex("9F3704" + "9F02FF" * 2), failed(Reason.DATA_MISSING)),
    ],
)
def test_every_list_of_what_is_to_be_signed(ddol: bytes | None, expected: Outcome) -> None:
    assert outcome_of(DYNAMIC, with_objects(data_of(DYNAMIC), {Tag.DYNAMIC_LIST: ddol})) == expected


class Fast(SignedChip):
    """A contactless chip that states another version than it signs by, or signs less than it should."""

    related: bytes | None = None
    covered: Callable[[Mapping[int, bytes]], bytes] = staticmethod(lambda told: told[Tag.UNPREDICTABLE_NUMBER])

    def _fast_proof(self, told: Mapping[int, bytes]) -> bytes:
        stated = b"" if self.related is None else encode(Tag.CARD_AUTHENTICATION_DATA, self.related)
        return stated + encode(Tag.DYNAMIC_SIGNATURE, self._signature(b"\x00\x01", self.covered(told)))


@pytest.mark.parametrize(
    ("related", "covered", "expected"),
    [
        (None, (Tag.UNPREDICTABLE_NUMBER,), DDA),
        ("00A1B2C3D40000", (Tag.UNPREDICTABLE_NUMBER,), DDA),
        ("02A1B2C3D40000", (Tag.UNPREDICTABLE_NUMBER,), unverified(Reason.UNSUPPORTED_ALGORITHM)),
        ("01A1B2C3D40000", (Tag.UNPREDICTABLE_NUMBER,), failed(Reason.SIGNATURE)),
        (None, (Tag.AMOUNT,), failed(Reason.SIGNATURE)),
        (None, (Tag.UNPREDICTABLE_NUMBER, Tag.AMOUNT, Tag.CURRENCY), failed(Reason.SIGNATURE)),
    ],
)
@pytest.mark.parametrize("kind", [ChipKind.CONTACTLESS, ChipKind.QPBOC])
def test_every_version_of_the_fast_signature(
    kind: ChipKind, related: str | None, covered: tuple[Tag, ...], expected: Outcome
) -> None:
    class Version(Fast):
        pass

    Version.related = None if related is None else bytes.fromhex(related)
    Version.covered = staticmethod(lambda told: b"".join(told[tag] for tag in covered))
    held = card(kind)
    assert outcome(Version(held, data_of(held))) == expected


class Silent(SignedChip):
    """A contactless chip that thinks a signature unnecessary."""

    def _fast_proof(self, told: Mapping[int, bytes]) -> bytes:
        return b""


def test_a_tap_without_a_signature_breaks_no_promise() -> None:
    held = card(ChipKind.QPBOC)
    data = with_objects(data_of(held), {Tag.STATIC_SIGNATURE: None})
    assert outcome(Silent(held, data)) == unverified(Reason.NOT_OFFERED)
    assert outcome(Silent(held, data_of(held))) == SDA  # it gave the issuer's signature over its data instead


class Profiled(SignedChip):
    """A chip that states another profile than its issuer signed."""

    def with_profile(self, octet: int) -> Profiled:
        self._profile = bytes([octet, 0x00])
        return self


@pytest.mark.parametrize(
    ("octet", "expected"),
    [
        (0x7C, DDA),
        (0x1C, unverified(Reason.NOT_OFFERED)),
        (0x1D, unverified(Reason.NOT_OFFERED)),  # CDA alone: we never send a payment's command
        (0x5C, failed(Reason.SIGNED_DATA)),  # DDA hidden so that SDA is chosen: the profile is signed
        (0x3C, failed(Reason.CARD_CERTIFICATE)),
    ],
)
def test_the_profile_chooses_and_cannot_be_changed(octet: int, expected: Outcome) -> None:
    assert outcome(Profiled(DYNAMIC, data_of(DYNAMIC)).with_profile(octet)) == expected


@pytest.mark.parametrize("octet", [0x7D, 0x5D])
def test_a_chip_that_offers_more_is_checked_by_what_it_shares_with_us(octet: int) -> None:
    expected = {0x7D: DDA, 0x5D: SDA}[octet]
    data = AUTHORITY.personalise(DYNAMIC.digits, static_of(DYNAMIC)[:-2] + bytes([octet, 0x00]))
    assert outcome(Profiled(DYNAMIC, data).with_profile(octet)) == expected


def test_a_certificate_says_what_it_is_made_to_say() -> None:
    """The authority itself: another field, another certificate."""
    text = AUTHORITY.issuer_text(DYNAMIC.digits)
    fields = {"expiry": b"\x01\x30", "serial": b"\x00\x00\x02", "hash_algorithm": 2, "modulus_length": 1}
    made = {certify(AUTHORITY.scheme, replace(text, **{name: value})).signed for name, value in fields.items()}  # type: ignore[arg-type]
    assert len(made | {certify(AUTHORITY.scheme, text).signed}) == len(fields) + 1
    assert isinstance(text, CertificateText)
