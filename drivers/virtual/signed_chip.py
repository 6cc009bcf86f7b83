"""A virtual chip that can show that it is genuine, and one that only looks like it.

A contact chip signs on INTERNAL AUTHENTICATE. A contactless one signs while it answers GET PROCESSING OPTIONS, when the
terminal's qualifiers ask for it, by the version of fast DDA that they allow.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers.pboc.apdu import StatusWord
from drivers.pboc.tags import Tag
from drivers.pboc.tlv import encode
from drivers.virtual.authority import Authority, SignedData
from drivers.virtual.card import ChipKind, ChipProof, VirtualCard
from drivers.virtual.chip import VirtualChip, file_locator, number_and_expiry, track2

_PROFILE_DYNAMIC = bytes.fromhex("7C00")  # SDA and DDA, and what UnionPay debit cards state beside
_PROFILE_STATIC = bytes.fromhex("5C00")
_TRACK_2_FILE, _SIGNED_FILE, _CERTIFICATES_FILE, _SIGNATURE_FILE = 1, 2, 3, 4
_RECORD_OCTETS_MAX = 240  # with its template under READ RECORD's 256; an object that is longer has one for itself
_GIVEN_OCTETS_MAX = 128  # a signature of over 1024 bits does not fit the processing options' answer
_ASKS_SIGNATURE, _ALLOWS_VERSION_1 = 0x01, 0x80  # the qualifiers' octet 1 bit 1 and octet 4 bit 8
_CARD_NUMBER = bytes.fromhex("0102030405060708")  # what the chip adds to a signature; a real one's is random
_RELATED_VERSION_1 = bytes.fromhex("01A1B2C3D40000")  # 9F69: version, the chip's number, its qualifiers
_OLD_NUMBER = bytes.fromhex("00000000")  # another terminal's, on the day when the copy was made


class SignedChip(VirtualChip):
    """The chip of `card` with what its issuer signed. A copy lacks the key and repeats a signature it once heard."""

    def __init__(self, card: VirtualCard, data: SignedData) -> None:
        super().__init__(card)
        self._key = data.key
        self._copied = card.proof is ChipProof.COPIED
        self._opened = 0
        self._profile = profile_of(card)
        self._signed = frozenset({(_SIGNED_FILE, 1)})
        self._records = {
            (_TRACK_2_FILE, 1): encode(Tag.RECORD, track2(card), encode(Tag.HOLDER_NAME, b" /")),
            (_SIGNED_FILE, 1): encode(Tag.RECORD, signed_content(card)),
            **_records(_CERTIFICATES_FILE, data.objects),
        }

    def _given(self, told: bytes) -> bytes:
        self._opened += 1
        proof = self._fast_proof(self._named(told))
        apart = self._card.chip is ChipKind.CONTACTLESS or self._key.octets > _GIVEN_OCTETS_MAX
        self._records.pop((_SIGNATURE_FILE, 1), None)
        if proof and apart:
            self._records[_SIGNATURE_FILE, 1] = encode(Tag.RECORD, proof)
        given = super()._given(told) + encode(Tag.TRANSACTION_COUNTER, self._opened.to_bytes(2))
        if self._card.chip is ChipKind.QPBOC:
            given += encode(Tag.FILE_LOCATOR, file_locator(self._records, self._signed))
        return given + (b"" if apart else proof)

    def _fast_proof(self, told: Mapping[int, bytes]) -> bytes:
        """The objects 9F69 and 9F4B, or nothing when the terminal does not ask."""
        qualifiers = told[Tag.TRANSACTION_QUALIFIERS]
        if self._card.proof is ChipProof.STATIC or not qualifiers[0] & _ASKS_SIGNATURE:
            return b""
        covered = _OLD_NUMBER if self._copied else told[Tag.UNPREDICTABLE_NUMBER]
        related = b""
        if qualifiers[3] & _ALLOWS_VERSION_1:
            covered += told[Tag.AMOUNT] + told[Tag.CURRENCY] + _RELATED_VERSION_1
            related = encode(Tag.CARD_AUTHENTICATION_DATA, _RELATED_VERSION_1)
        return related + encode(Tag.DYNAMIC_SIGNATURE, self._signature(self._opened.to_bytes(2), covered))

    def _sign(self, values: bytes) -> tuple[bytes, StatusWord]:
        if self.contactless or not self._open or self._copied or self._card.proof is ChipProof.STATIC:
            return b"", StatusWord.CONDITIONS_NOT_SATISFIED
        return encode(Tag.OPTIONS_FORMAT_1, self._signature(_CARD_NUMBER, values)), StatusWord.OK

    def _signature(self, number: bytes, covered: bytes) -> bytes:
        """The chip's signature over what the terminal told it, with a number of its own (EMV Book 2 section 6.5.2)."""
        data = bytes([len(number)]) + number
        return self._key.sign(self._key.padded(b"\x05\x01" + bytes([len(data)]) + data), covered)

    def _named(self, told: bytes) -> dict[int, bytes]:
        """What the terminal filled the card's list with, by tag."""
        named: dict[int, bytes] = {}
        for tag, length in self._pdol:
            named[tag], told = told[:length], told[length:]
        return named


def profile_of(card: VirtualCard) -> bytes:
    """The interchange profile (AIP)."""
    return _PROFILE_STATIC if card.proof is ChipProof.STATIC else _PROFILE_DYNAMIC


def signed_content(card: VirtualCard) -> bytes:
    """The content of the one signed record: expiry, number, and that the profile is signed too."""
    return b"".join(number_and_expiry(card)) + encode(Tag.STATIC_TAG_LIST, bytes([Tag.INTERCHANGE_PROFILE]))


def personalised(card: VirtualCard, authority: Authority) -> SignedChip:
    """The chip of `card` as `authority` issues it."""
    return SignedChip(card, authority.personalise(card.digits, signed_content(card) + profile_of(card)))


def _records(sfi: int, objects: Mapping[int, bytes]) -> dict[tuple[int, int], bytes]:
    """The objects over as many records of one file as they need."""
    contents = [b""]
    for tag, value in objects.items():
        item = encode(tag, value)
        if contents[-1] and len(contents[-1]) + len(item) > _RECORD_OCTETS_MAX:
            contents.append(b"")
        contents[-1] += item
    return {(sfi, number): encode(Tag.RECORD, content) for number, content in enumerate(contents, start=1)}
