"""The data that the issuer signed, and its signature over them alone (SDA, EMV Book 2 section 5.4)."""

from __future__ import annotations

from drivers.card import AuthenticityReason
from drivers.pboc import tlv
from drivers.pboc.authenticity.recover import SHA_1, PublicKey, failed, recover, unverified
from drivers.pboc.evidence import Evidence
from drivers.pboc.tags import Tag

STATIC_FORMAT = 0x03
SFI_EMV_MAX = 10  # EMV Book 3 section 10.3: records of files 1 to 10 are signed without their template, others with it
_INTERCHANGE_PROFILE_LIST = bytes([Tag.INTERCHANGE_PROFILE])
_BODY_OCTETS_MIN = 4  # format, hash algorithm, the issuer's code of two octets


def signed_static_data(evidence: Evidence) -> bytes:
    """What the issuer signed, in the order of the file locator. Raises `Unproven` when it breaks the standard."""
    records = b"".join(
        record.content.value if record.sfi <= SFI_EMV_MAX else record.data
        for record in evidence.records
        if record.signed
    )
    listed = evidence.value_of(Tag.STATIC_TAG_LIST)
    if listed is None:
        return records
    if listed != _INTERCHANGE_PROFILE_LIST:  # EMV Book 3 section 10.3: no other tag may stand there
        raise failed(AuthenticityReason.STATIC_DATA)
    return records + evidence.profile


def check_static_signature(evidence: Evidence, issuer: PublicKey, static: bytes) -> None:
    """Returns when the issuer signed `static` and the card number stands in it; raises `Unproven` otherwise."""
    signature = evidence.value_of(Tag.STATIC_SIGNATURE)
    if signature is None:
        raise failed(AuthenticityReason.DATA_MISSING)
    found = recover(signature, issuer, STATIC_FORMAT, _BODY_OCTETS_MIN)
    if found is None:
        raise failed(AuthenticityReason.SIGNED_DATA)
    if found.body[1] != SHA_1:
        raise unverified(AuthenticityReason.UNSUPPORTED_ALGORITHM)
    if not found.covers(static):
        raise failed(AuthenticityReason.SIGNED_DATA)
    if not _number_signed(evidence):
        raise unverified(AuthenticityReason.NUMBER_NOT_SIGNED)


def _number_signed(evidence: Evidence) -> bool:
    """Reading refuses a card that gives two numbers, so any number among the signed data is the card's."""
    signed = [record.content for record in evidence.records if record.signed and record.sfi <= SFI_EMV_MAX]
    return any(tlv.find(signed, tag) is not None for tag in (Tag.PAN, Tag.TRACK_2_EQUIVALENT))
