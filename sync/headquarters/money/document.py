"""The signed settlement: its canonical bytes, its hash, headquarters' signature. Pure.

    {"closed_at": "…Z", "closed_by": "f01", "form": "jingka settlement 1", "lines": […], "merchant": "…",
     "month": "2026-01", "previous": "<64 hex>", "totals": {…}}

Canonical bytes are RFC 8785 narrowed as in the ledger: integers only, sorted keys, no blanks, UTF-8. The hash is
SHA-256 over `DOMAIN` and the bytes, the signature Ed25519 (RFC 8032) over the same. `previous` is the hash of the
merchant's settlement before, so nobody can leave one out or change an old one unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from sync.signing import DeviceKey

FORM: Final = "jingka settlement 1"
DOMAIN: Final = b"jingka settlement, signed form 1\n"  # keeps the signature from being of use for anything else
FIRST: Final = "0" * 64  # where a merchant's first settlement names the one before


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line: all steps of a kind, an offer, a day and a share. Money in fen; voids and charges are negative."""

    day: str
    kind: str
    offer: str
    share_bp: int
    steps: int
    units: int
    list: int
    pay: int
    saving: int
    subsidy: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums of all lines; `completed`, `voided` and `charges` count steps."""

    completed: int
    voided: int
    charges: int
    units: int
    list: int
    pay: int
    saving: int
    charged: int
    subsidy: int


def totals_of(lines: Iterable[Line]) -> Totals:
    """What `lines` come to. `subsidy` is what is owed in the end, `charged` what decisions took of it."""
    found = tuple(lines)

    def count(kind: str) -> int:
        return sum(line.steps for line in found if line.kind == kind)

    return Totals(
        completed=count("completed"),
        voided=count("voided"),
        charges=count("charge"),
        units=sum(line.units for line in found),
        list=sum(line.list for line in found),
        pay=sum(line.pay for line in found),
        saving=sum(line.saving for line in found),
        charged=-sum(line.subsidy for line in found if line.kind == "charge"),
        subsidy=sum(line.subsidy for line in found),
    )


def content(merchant: str, month: str, lines: Iterable[Line], previous: str) -> dict[str, Any]:
    """What a settlement says, before anybody has closed it."""
    ordered = sorted(lines)
    return {
        "form": FORM,
        "merchant": merchant,
        "month": month,
        "previous": previous,
        "lines": [asdict(line) for line in ordered],
        "totals": asdict(totals_of(ordered)),
    }


def canonical(document: dict[str, Any]) -> bytes:
    """The one byte string of a document."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def digest(document: bytes) -> str:
    """The hash of a document's bytes, hex."""
    return hashlib.sha256(DOMAIN + document).hexdigest()


def sign(document: bytes, key: DeviceKey) -> str:
    """The signature, hex."""
    return key.private_key().sign(DOMAIN + document).hex()


def is_signed_by(document: bytes, signature: str, public: str) -> bool:
    """Whether `signature` (hex) over `document` was made by the private half of `public` (hex)."""
    from cryptography.exceptions import InvalidSignature  # read only where settlements are proven
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), DOMAIN + document)
    except (InvalidSignature, ValueError):
        return False
    return True


def lines_in(document: bytes) -> list[Line]:
    """The lines of a document that was proven."""
    return [Line(**line) for line in json.loads(document)["lines"]]
