"""From a quote that was confirmed to what the ledger records of it. Pure."""

from __future__ import annotations

from collections.abc import Callable

from terminal.held_quotes import HeldQuote
from terminal.ledger.bodies import Authorisation, UsageClaim
from terminal.offers.limits import LimitClaim

KeepProof = Callable[[str], str]  # a typed proof to its keyed hash
CapOf = Callable[[LimitClaim], int]  # how much of a claim's key may be used at this terminal in all


def authorisation_of(
    redemption: str, held: HeldQuote, cashier: str, keep_proof: KeepProof, cap_of: CapOf
) -> Authorisation:
    """The sale as quoted, under its id. `held` must be of a member's card and without refusals."""
    card, due, member, place = held.card, held.quote, held.card.member, held.sale.place
    assert member is not None
    assert card.entry_mode is not None
    assert card.authenticity is not None
    assert due.offer_name is not None, "an eligible quote names its offer"
    return Authorisation(
        id=redemption,
        cashier=cashier,
        business_day=held.at.date().isoformat(),
        merchant=place.merchant,
        site=place.site,
        token=member.token,
        person=member.person,
        masked=card.masked,
        member_class=member.member_class.value,
        standing=member.standing.value,
        entry_mode=card.entry_mode.value,
        reader=card.reader,
        authenticity=card.authenticity.value,
        authenticity_reason=card.authenticity_reason.value if card.authenticity_reason else None,
        approved_by=card.approved_by,
        offer=due.offer,
        offer_name={"zh": due.offer_name.zh, "en": due.offer_name.en},
        revision=due.revision,
        book_hash=due.book_hash,
        lines=tuple(line.as_dict() for line in due.lines),
        fees=tuple(fee.as_dict() for fee in due.fees),
        list_fen=due.list_fen,
        pay_fen=due.pay_fen,
        units=sum(line.quantity for line in due.lines),
        claims=tuple(UsageClaim(claim.key, claim.amount, cap_of(claim)) for claim in due.claims),
        proofs=_kept_proofs(held, keep_proof),
        granted=due.granted,
    )


def _kept_proofs(held: HeldQuote, keep_proof: KeepProof) -> dict[str, str]:
    """`seen` for what was only looked at, a keyed hash for what must be recognised again; never the value."""
    kept: dict[str, str] = {}
    for name, how in held.quote.proofs_kept.items():
        value = held.sale.proofs.get(name)
        kept[name] = keep_proof(f"{name}:{value}") if how == "keyed-hash" else "seen"
    return kept
