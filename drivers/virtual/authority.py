"""A certification authority for virtual cards: a scheme, an issuer and the signatures they put on a card.

The other side of `drivers.pboc.authenticity`, written from EMV Book 2 and not from that code, so that each can find the
other's mistakes. Every field of a certificate can be set, also to what no issuer would write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from drivers.pboc.application import UNIONPAY_RID
from drivers.pboc.tags import Tag

HEADER, TRAILER, PADDING = b"\x6a", b"\xbc", b"\xbb"
_FRAME_OCTETS = 22  # header, hash of 20, trailer
_DDOL = bytes.fromhex("9F3704")  # the terminal's unpredictable number alone
_ISSUER_CODE = bytes.fromhex("0001")  # data authentication code: the issuer's own, says nothing to a terminal


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An RSA key pair."""

    modulus: int
    exponent: int
    private: int = field(repr=False)

    @property
    def octets(self) -> int:
        """The modulus' length."""
        return (self.modulus.bit_length() + 7) // 8

    @property
    def modulus_octets(self) -> bytes:
        """The modulus as cards and files carry it."""
        return self.modulus.to_bytes(self.octets)

    @property
    def exponent_octets(self) -> bytes:
        """The exponent as cards and files carry it."""
        return self.exponent.to_bytes((self.exponent.bit_length() + 7) // 8)

    def sign(self, body: bytes, outside: bytes = b"", *, header: bytes = HEADER, trailer: bytes = TRAILER) -> bytes:
        """A signature that gives `body` back and covers `outside` too (EMV Book 2 annex A2.1)."""
        digest = hashlib.sha1(body + outside, usedforsecurity=False).digest()
        message = header + body + digest + trailer
        assert len(message) == self.octets, "the body fills the key"
        return pow(int.from_bytes(message), self.private, self.modulus).to_bytes(self.octets)

    def padded(self, body: bytes) -> bytes:
        """`body` filled to what one signature of this key holds."""
        return body.ljust(self.octets - _FRAME_OCTETS, PADDING)


@dataclass(frozen=True, slots=True)
class CertificateText:
    """What a certificate says of `key`. `None` lengths are the key's own."""

    form: int
    name: bytes
    key: SigningKey
    expiry: bytes = bytes.fromhex("1249")  # MMYY
    serial: bytes = bytes.fromhex("000001")
    hash_algorithm: int = 0x01
    key_algorithm: int = 0x01
    modulus_length: int | None = None
    exponent_length: int | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """A signed certificate, and the end of the modulus that found no room in it."""

    signed: bytes
    remainder: bytes


def certify(signer: SigningKey, text: CertificateText, outside: bytes = b"") -> Certificate:
    """The certificate that says `text`, signed by `signer` over `outside` (the static data) as well."""
    modulus, exponent = text.key.modulus_octets, text.key.exponent_octets
    lengths = bytes(
        [
            len(modulus) if text.modulus_length is None else text.modulus_length,
            len(exponent) if text.exponent_length is None else text.exponent_length,
        ]
    )
    algorithms = bytes([text.hash_algorithm, text.key_algorithm])
    head = bytes([text.form]) + text.name + text.expiry + text.serial + algorithms + lengths
    room = signer.octets - _FRAME_OCTETS - len(head)
    remainder = modulus[room:]
    return Certificate(signer.sign(signer.padded(head + modulus[:room]), remainder + exponent + outside), remainder)


@dataclass(frozen=True, slots=True)
class SignedData:
    """What an issuer puts on one card: data objects by tag, and the chip's own key."""

    objects: Mapping[int, bytes] = field(repr=False)
    key: SigningKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authority:
    """One scheme key, one issuer's key and one key for all its cards: virtual cards need no more."""

    scheme: SigningKey
    issuer: SigningKey
    card: SigningKey
    index: int
    rid: bytes = UNIONPAY_RID

    def key_file(self, expires: date) -> str:
        """The scheme's key as terminals read it, TOML."""
        modulus, exponent = self.scheme.modulus_octets, self.scheme.exponent_octets
        index = bytes([self.index])
        check = hashlib.sha1(self.rid + index + modulus + exponent, usedforsecurity=False)
        return (
            f'[[keys]]\nrid = "{self.rid.hex().upper()}"\nindex = "{index.hex().upper()}"\nalgorithm = "rsa"\n'
            f'modulus = "{modulus.hex().upper()}"\nexponent = "{exponent.hex().upper()}"\n'
            f'checksum = "{check.hexdigest().upper()}"\nexpires = {expires.isoformat()}\n'
        )

    def issuer_text(self, digits: str) -> CertificateText:
        """What the issuer's certificate says for cards that begin as `digits` do."""
        return CertificateText(form=0x02, name=packed(digits[:6], 4), key=self.issuer)

    def card_text(self, digits: str) -> CertificateText:
        """What the card's certificate says."""
        return CertificateText(form=0x04, name=packed(digits, 10), key=self.card)

    def personalise(self, digits: str, static: bytes) -> SignedData:
        """Everything for a card with number `digits` that gives `static` as its signed data."""
        issuer = certify(self.scheme, self.issuer_text(digits))
        card = certify(self.issuer, self.card_text(digits), static)
        code = self.issuer.padded(b"\x03\x01" + _ISSUER_CODE)
        objects: dict[int, bytes] = {
            Tag.SCHEME_KEY_INDEX: bytes([self.index]),
            Tag.ISSUER_CERTIFICATE: issuer.signed,
            Tag.ISSUER_REMAINDER: issuer.remainder,
            Tag.ISSUER_EXPONENT: self.issuer.exponent_octets,
            Tag.STATIC_SIGNATURE: self.issuer.sign(code, static),
            Tag.CARD_CERTIFICATE: card.signed,
            Tag.CARD_REMAINDER: card.remainder,
            Tag.CARD_EXPONENT: self.card.exponent_octets,
            Tag.DYNAMIC_LIST: _DDOL,
        }
        return SignedData({tag: value for tag, value in objects.items() if value}, self.card)


def packed(digits: str, octets: int) -> bytes:
    """Digits two an octet, filled with F."""
    return bytes.fromhex(digits.ljust(2 * octets, "F"))
