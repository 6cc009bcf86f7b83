"""What a chip gave that may prove it genuine, and the verdict on it: what reading and authentication exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from drivers.card import Authenticity, AuthenticityReason, Pan
from drivers.pboc import tlv
from drivers.pboc.exchange import Exchange
from drivers.pboc.tlv import Tlv

RID_OCTETS = 5  # ISO/IEC 7816-4: an application identifier begins with its scheme's registered identifier


@dataclass(frozen=True, slots=True)
class Record:
    """One record: `data` as the card answered it, `content` without its template, `signed` when the AFL says so."""

    sfi: int
    number: int
    signed: bool
    data: bytes = field(repr=False)
    content: Tlv = field(repr=False)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that one application gave. `whole`: every record that the issuer signed was read.

    `told`: the values that we filled the card's lists with. `qpboc`: the card asked for the terminal's transaction
    qualifiers, so it follows the contactless rules.
    """

    rid: bytes
    pan: Pan
    profile: bytes
    given: tuple[Tlv, ...] = field(repr=False)
    records: tuple[Record, ...] = field(repr=False)
    whole: bool
    told: Mapping[int, bytes] = field(repr=False)
    qpboc: bool

    def value_of(self, tag: int) -> bytes | None:
        """The first data object with `tag` from the processing options or any record; an empty one counts as none."""
        nodes = (*self.given, *(record.content for record in self.records))
        return tlv.value_of(nodes, tag) or None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the chip is genuine, and why not or why nobody knows."""

    authenticity: Authenticity
    reason: AuthenticityReason | None = None


NOT_ASKED = Verdict(Authenticity.UNVERIFIED, AuthenticityReason.NO_KEYS)

# Judges the evidence; may let the chip sign through the exchange, whose faults pass through.
Authenticate = Callable[[Evidence, Exchange], Verdict]
