"""From the scheme's key to the issuer's (EMV Book 2 section 5.3) and from there to the card's (section 6.4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from drivers.card import AuthenticityReason, CardError, Expiry, Pan
from drivers.pboc.authenticity.recover import (
    EXPONENTS,
    MODULUS_OCTETS_MIN,
    RSA,
    SHA_1,
    PublicKey,
    failed,
    recover,
    unverified,
)
from drivers.pboc.evidence import Evidence
from drivers.pboc.tags import Tag

_AFTER_NAME = 9  # expiry 2, serial 3, hash and key algorithm, lengths of modulus and exponent
_ISSUER_DIGITS_MIN = 3


@dataclass(frozen=True, slots=True)
class CertificateKind:
    """What tells the two kinds apart: format octet, length of the holder's name, the card's tags, how it fails."""

    form: int
    name_octets: int
    certificate: Tag
    remainder: Tag
    exponent: Tag
    reason: AuthenticityReason


ISSUER = CertificateKind(
    form=0x02,
    name_octets=4,  # the card number's first 3 to 8 digits, filled with F
    certificate=Tag.ISSUER_CERTIFICATE,
    remainder=Tag.ISSUER_REMAINDER,
    exponent=Tag.ISSUER_EXPONENT,
    reason=AuthenticityReason.ISSUER_CERTIFICATE,
)
CARD = CertificateKind(
    form=0x04,
    name_octets=10,  # the card number, filled with F
    certificate=Tag.CARD_CERTIFICATE,
    remainder=Tag.CARD_REMAINDER,
    exponent=Tag.CARD_EXPONENT,
    reason=AuthenticityReason.CARD_CERTIFICATE,
)


def issuer_key(evidence: Evidence, scheme: PublicKey, today: date) -> PublicKey:
    """The issuer's key. Raises `Unproven`."""
    head, key = _certified(ISSUER, evidence, scheme, b"", today)
    if not (head.isdecimal() and len(head) >= _ISSUER_DIGITS_MIN and evidence.pan.begins_between(head, head)):
        raise failed(ISSUER.reason)
    return key


def card_key(evidence: Evidence, issuer: PublicKey, static: bytes, today: date) -> PublicKey:
    """The card's own key; its certificate also signs the `static` data. Raises `Unproven`."""
    digits, key = _certified(CARD, evidence, issuer, static, today)
    if not _same_number(digits, evidence.pan):
        raise failed(CARD.reason)
    return key


def _certified(
    kind: CertificateKind, evidence: Evidence, signer: PublicKey, outside: bytes, today: date
) -> tuple[str, PublicKey]:
    """The holder's name in the certificate and the key, once lengths, algorithms, hash and expiry are right."""
    signature, exponent = evidence.value_of(kind.certificate), evidence.value_of(kind.exponent)
    if signature is None or exponent is None:
        raise failed(AuthenticityReason.DATA_MISSING)
    remainder = evidence.value_of(kind.remainder) or b""
    found = recover(signature, signer, kind.form, 1 + kind.name_octets + _AFTER_NAME)
    if found is None:
        raise failed(kind.reason)
    name, rest = found.body[1 : 1 + kind.name_octets], found.body[1 + kind.name_octets :]
    hash_algorithm, key_algorithm, octets, exponent_octets = rest[5:_AFTER_NAME]
    begin = rest[_AFTER_NAME:]
    if not MODULUS_OCTETS_MIN <= octets <= signer.octets or len(remainder) != max(0, octets - len(begin)):
        raise failed(kind.reason)
    if hash_algorithm != SHA_1:  # another hash cannot be compared, so nothing more can be said
        raise unverified(AuthenticityReason.UNSUPPORTED_ALGORITHM)
    if exponent_octets != len(exponent) or not found.covers(remainder + exponent + outside):
        raise failed(kind.reason)
    if key_algorithm != RSA:
        raise unverified(AuthenticityReason.UNSUPPORTED_ALGORITHM)
    if int.from_bytes(exponent) not in EXPONENTS or _expired(rest[:2].hex(), today):
        raise failed(kind.reason)
    return name.hex().upper().rstrip("F"), PublicKey.of(begin[:octets] + remainder, exponent)


def _expired(mmyy: str, today: date) -> bool:
    """A certificate is good through its month's last day. What is no month is as bad as a past one."""
    if not mmyy.isdecimal() or not 1 <= int(mmyy[:2]) <= 12:
        return True
    return today > Expiry(2000 + int(mmyy[2:]), int(mmyy[:2])).last_day


def _same_number(digits: str, pan: Pan) -> bool:
    try:
        return Pan(digits) == pan
    except CardError:
        return False
