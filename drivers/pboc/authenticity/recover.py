"""Signatures that give their message back (EMV Book 2 annex A2.1), and how a check ends.

What was signed is recovered by raising the signature to the public exponent:

    6A | format and contents (`body`) | SHA-1 over the body and what stands outside it | BC
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from drivers.card import Authenticity, AuthenticityReason
from drivers.pboc.evidence import Verdict

EXPONENTS = (3, 65_537)  # EMV Book 2 annex B2.1 allows no others
MODULUS_OCTETS_MIN = 64  # 512 bits: the shortest card keys that EMV knew
MODULUS_OCTETS_MAX = 248  # 1984 bits: EMV Book 2 section 5.1
HASH_OCTETS = 20
SHA_1 = 0x01  # hash algorithm indicator, EMV Book 2 annex B2.1
RSA = 0x01  # public key algorithm indicator

_HEADER, _TRAILER = 0x6A, 0xBC
_FRAME_OCTETS = 1 + HASH_OCTETS + 1


class Unproven(Exception):
    """The chip is not shown to be genuine: the end of a check, which `verify` turns into the verdict it holds."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict.reason))
        self.verdict = verdict


def failed(reason: AuthenticityReason) -> Unproven:
    """A check that a genuine chip would have passed."""
    return Unproven(Verdict(Authenticity.FAILED, reason))


def unverified(reason: AuthenticityReason) -> Unproven:
    """Nobody can know: no word about the chip."""
    return Unproven(Verdict(Authenticity.UNVERIFIED, reason))


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An RSA key: `octets` is the modulus' length."""

    modulus: int
    octets: int
    exponent: int

    @classmethod
    def of(cls, modulus: bytes, exponent: bytes) -> PublicKey:
        """From octets as cards and files give them."""
        return cls(int.from_bytes(modulus), len(modulus), int.from_bytes(exponent))


@dataclass(frozen=True, slots=True)
class Recovered:
    """A signature's contents: `body` begins with its format octet, `digest` was signed with it."""

    body: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def covers(self, outside: bytes) -> bool:
        """Whether the hash is that of the body followed by `outside`."""
        return hashlib.sha1(self.body + outside, usedforsecurity=False).digest() == self.digest


def recover(signature: bytes, key: PublicKey, form: int, least: int) -> Recovered | None:
    """What `signature` holds under `key`, of format `form` and with a body of at least `least` octets; else None."""
    if len(signature) != key.octets or key.octets < _FRAME_OCTETS + least:
        return None
    number = int.from_bytes(signature)
    if number >= key.modulus:
        return None
    message = pow(number, key.exponent, key.modulus).to_bytes(key.octets)
    if message[0] != _HEADER or message[1] != form or message[-1] != _TRAILER:
        return None
    return Recovered(message[1 : -HASH_OCTETS - 1], message[-HASH_OCTETS - 1 : -1])
