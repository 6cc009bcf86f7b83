"""The chip's own signature: asked for with INTERNAL AUTHENTICATE (DDA), or given with the processing options (fDDA).

DDA is EMV Book 2 section 6.5. Of fDDA no standard's text was at hand; what stands here is from two descriptions by
implementers (https://w3help.cc/a/202106/178271.html, https://www.cnblogs.com/l14133/p/5173460.html): version 00 signs
our unpredictable number, version 01 also the amount, the currency and the card authentication related data (9F69),
whose first octet is the version. Not confirmed on a real card: that 9F69 goes in with its value alone, as every other
object of such a list does.
"""

from __future__ import annotations

from drivers.card import AuthenticityReason, MalformedCard
from drivers.pboc import tlv
from drivers.pboc.apdu import LE_ALL, CommandApdu, Instruction, ResponseApdu
from drivers.pboc.authenticity.recover import SHA_1, PublicKey, failed, recover, unverified
from drivers.pboc.dol import UNPREDICTABLE_OCTETS, fill_dol, parse_dol
from drivers.pboc.evidence import Evidence
from drivers.pboc.exchange import Exchange
from drivers.pboc.tags import Tag

DYNAMIC_FORMAT = 0x05
_BODY_OCTETS_MIN = 3  # format, hash algorithm, length of what the card adds
_DEFAULT_DDOL = bytes.fromhex("9F3704")  # EMV Book 2 section 6.5.1: a card without a list of its own signs our number
_FAST_VERSIONS = (0x00, 0x01)


def ask_signature(evidence: Evidence, exchange: Exchange) -> tuple[bytes, bytes]:
    """Let the chip sign: the signature, and what of ours it covers. Faults of the exchange pass; raises `Unproven`."""
    covered = _ddol_values(evidence)
    response = exchange(CommandApdu(0x00, Instruction.INTERNAL_AUTHENTICATE, 0x00, 0x00, covered, le=LE_ALL))
    signature = _signature_in(response) if response.ok else None
    if signature is None:
        raise failed(AuthenticityReason.SIGNATURE)
    return signature, covered


def fast_covered(evidence: Evidence) -> bytes:
    """What of ours a signature given with the processing options covers. Raises `Unproven`."""
    told = evidence.told
    related = evidence.value_of(Tag.CARD_AUTHENTICATION_DATA)
    if related is not None and related[0] not in _FAST_VERSIONS:
        raise unverified(AuthenticityReason.UNSUPPORTED_ALGORITHM)
    number = told[Tag.UNPREDICTABLE_NUMBER]
    if related is None or related[0] == 0x00:
        return number
    return number + told[Tag.AMOUNT] + told[Tag.CURRENCY] + related


def check_signature(signature: bytes, card: PublicKey, covered: bytes) -> None:
    """Returns when `signature` is the card's over `covered`; raises `Unproven` otherwise."""
    found = recover(signature, card, DYNAMIC_FORMAT, _BODY_OCTETS_MIN)
    if found is None:
        raise failed(AuthenticityReason.SIGNATURE)
    if found.body[1] != SHA_1:
        raise unverified(AuthenticityReason.UNSUPPORTED_ALGORITHM)
    if _BODY_OCTETS_MIN + found.body[2] > len(found.body) or not found.covers(covered):
        raise failed(AuthenticityReason.SIGNATURE)


def _ddol_values(evidence: Evidence) -> bytes:
    """What the card wants to sign. A list without the whole of our number would let an old signature pass for new."""
    try:
        entries = parse_dol(evidence.value_of(Tag.DYNAMIC_LIST) or _DEFAULT_DDOL)
    except MalformedCard:
        raise failed(AuthenticityReason.DATA_MISSING) from None
    if not any(entry.tag == Tag.UNPREDICTABLE_NUMBER and entry.length >= UNPREDICTABLE_OCTETS for entry in entries):
        raise failed(AuthenticityReason.DATA_MISSING)
    return fill_dol(entries, evidence.told)


def _signature_in(response: ResponseApdu) -> bytes | None:
    """EMV Book 3 section 6.5.9: the signature alone in 80, or among data objects in 77."""
    try:
        nodes = tlv.parse(response.data)
    except MalformedCard:
        return None
    if len(nodes) != 1:
        return None
    if nodes[0].tag == Tag.OPTIONS_FORMAT_1:
        return nodes[0].value
    if nodes[0].tag == Tag.OPTIONS_FORMAT_2:
        return tlv.value_of(nodes, Tag.DYNAMIC_SIGNATURE)
    return None
