"""Signed cards made to order, and how a reading judges them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from functools import cache

from config.errors import Words
from drivers.card import Authenticity, AuthenticityReason, CardRead
from drivers.chip_reading import ChipReading, ChipTerms
from drivers.pboc.authenticity.keys import SchemeKey, SchemeKeys
from drivers.pboc.authenticity.recover import PublicKey
from drivers.pboc.dol import TerminalData
from drivers.virtual.authority import Authority, SignedData, SigningKey
from drivers.virtual.card import ChipKind, ChipProof, VirtualCard
from drivers.virtual.chip import VirtualChip
from drivers.virtual.demo_authority import DEMO_AUTHORITY
from drivers.virtual.signed_chip import SignedChip, profile_of, signed_content

TODAY = date(2026, 7, 1)
NEVER = date(2099, 12, 31)
NUMBER = bytes.fromhex("A1B2C3D4")
Outcome = tuple[Authenticity, AuthenticityReason | None]
DDA: Outcome = (Authenticity.DDA, None)
SDA: Outcome = (Authenticity.SDA, None)


def failed(reason: AuthenticityReason) -> Outcome:
    return Authenticity.FAILED, reason


def unverified(reason: AuthenticityReason) -> Outcome:
    return Authenticity.UNVERIFIED, reason


def card(kind: ChipKind = ChipKind.CONTACT, proof: ChipProof = ChipProof.DYNAMIC) -> VirtualCard:
    return VirtualCard("card", Words("卡", "card"), "6231200100000000217", chip=kind, proof=proof)


def data_of(held: VirtualCard, authority: Authority = DEMO_AUTHORITY) -> SignedData:
    """What the authority signs for this card."""
    return authority.personalise(held.digits, static_of(held))


def static_of(held: VirtualCard) -> bytes:
    """The data that the chip of this card gives as signed."""
    return signed_content(held) + profile_of(held)


def with_objects(data: SignedData, changes: Mapping[int, bytes | None]) -> SignedData:
    """The same with other objects; None takes one away."""
    objects: dict[int, bytes] = dict(data.objects)
    for tag, value in changes.items():
        objects.pop(tag, None)
        if value is not None:
            objects[tag] = value
    return replace(data, objects=objects)


def keys_of(authority: Authority = DEMO_AUTHORITY, expires: date = NEVER) -> SchemeKeys:
    scheme = authority.scheme
    key = PublicKey.of(scheme.modulus_octets, scheme.exponent_octets)
    return SchemeKeys([SchemeKey(authority.rid, authority.index, key, expires)])


def read(
    chip: VirtualChip,
    keys: SchemeKeys | None = None,
    *,
    transmit: Callable[[bytes], bytes] | None = None,
    today: date = TODAY,
) -> CardRead:
    """The chip through the whole reading, under the demonstration's key unless told otherwise."""
    told = TerminalData(today, NUMBER)
    reading = ChipReading(
        transmit or chip.transmit,
        chip.protocol,
        contactless=chip.contactless,
        reader="slot",
        terms=ChipTerms(terminal_data=lambda: told, keys=keys or keys_of()),
    )
    return reading.read()


def outcome(chip: VirtualChip, keys: SchemeKeys | None = None, *, today: date = TODAY) -> Outcome:
    found = read(chip, keys, today=today)
    return found.authenticity, found.authenticity_reason


def outcome_of(held: VirtualCard, data: SignedData) -> Outcome:
    return outcome(SignedChip(held, data))


@cache
def key_of(octets: int, exponent: int = 3) -> SigningKey:
    """A new key of any length; shorter than 128 octets it is only good to look at."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    if octets < 128:
        return SigningKey((0x80 << 8 * (octets - 1)) | 1, exponent, 1)
    made = rsa.generate_private_key(public_exponent=exponent, key_size=8 * octets).private_numbers()
    return SigningKey(made.public_numbers.n, exponent, made.d)


def authority_of(scheme: int, issuer: int = 128, own: int = 128, exponent: int = 3) -> Authority:
    """An authority with keys of these lengths in octets."""
    return Authority(key_of(scheme, exponent), key_of(issuer, exponent), key_of(own, exponent), index=0xFD)
