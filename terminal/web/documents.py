"""From what the house knows to what the API says, in one language. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from config.errors import JingkaError, Language
from terminal.held_quotes import HeldQuote, QuoteRequest
from terminal.ledger.project import Redemption
from terminal.membership.standing import STANDING_WORDS
from terminal.offers.overview import OfferView
from terminal.offers.refusal import Refusal
from terminal.offers.sale import SaleLine
from terminal.presentation import Presentation
from terminal.web.messages import (
    FeeTold,
    LineTold,
    OfferTold,
    PresentationTold,
    QuoteTold,
    QuoteWanted,
    RedemptionTold,
    RefusalTold,
)

OWN_NAMES = frozenset(RefusalTold.model_fields)


def refusal_told(refusal: Refusal, language: Language) -> RefusalTold:
    """A refusal with its numbers beside its code; a number never hides the code, the text or the remedy."""
    numbers: dict[str, Any] = {name: value for name, value in refusal.numbers.items() if name not in OWN_NAMES}
    return RefusalTold(code=refusal.code.value, text=refusal.text(language), remedy=refusal.remedy(language), **numbers)


def refusals_told(refusals: Iterable[Refusal], language: Language) -> list[RefusalTold]:
    """All reasons, in their order."""
    return [refusal_told(refusal, language) for refusal in refusals]


def offer_told(view: OfferView, language: Language) -> OfferTold:
    """One offer for the card presented."""
    return OfferTold(
        offer=view.offer,
        revision=view.revision,
        name=view.name.text(language),
        eligible=view.eligible,
        refusals=refusals_told(view.refusals, language),
        remaining=view.remaining,
        asks=[ask.as_dict() for ask in view.asks],
        categories=list(view.categories),
    )


def presentation_told(presentation: Presentation, language: Language) -> PresentationTold:
    """The card on the reader."""
    member, notice = presentation.member, presentation.notice
    return PresentationTold(
        id=presentation.id,
        masked=presentation.masked,
        standing=member.standing.value if member else None,
        standing_text=STANDING_WORDS[member.standing].text(language) if member else None,
        member_class=member.member_class.value if member else None,
        entry_mode=presentation.entry_mode.value if presentation.entry_mode else None,
        reader=presentation.reader,
        authenticity=presentation.authenticity.value if presentation.authenticity else None,
        authenticity_reason=presentation.authenticity_reason.value if presentation.authenticity_reason else None,
        approved_by=presentation.approved_by,
        offers=[offer_told(view, language) for view in presentation.offers],
        notice=notice_told(notice, language) if notice else None,
    )


def notice_told(error: JingkaError, language: Language) -> dict[str, str]:
    """A fault in words: its code, what happened, the next step."""
    return {"code": error.code, "text": error.what_text(language), "hint": error.hint_text(language)}


def quote_request(wanted: QuoteWanted) -> QuoteRequest:
    """What the API was asked, as the counter takes it."""
    return QuoteRequest(
        presentation=wanted.presentation,
        offer=wanted.offer,
        lines=tuple(
            SaleLine(line.category, line.quantity, line.list_price, dict(line.attributes)) for line in wanted.lines
        ),
        proofs=dict(wanted.proofs),
    )


def quote_told(held: HeldQuote, language: Language) -> QuoteTold:
    """A quote held for confirmation."""
    due = held.quote
    return QuoteTold(
        quote=held.id,
        offer=due.offer,
        revision=due.revision,
        lines=[
            LineTold(
                category=line.category,
                quantity=line.quantity,
                list_price=line.list_fen,
                pay=line.pay_fen,
                attributes=dict(line.attributes),
                trace=line.trace,
            )
            for line in due.lines
        ],
        fees=[FeeTold(name=fee.name, label=fee.words.text(language), amount=fee.amount_fen) for fee in due.fees],
        list_fen=due.list_fen,
        pay=due.pay_fen,
        saving=due.saving_fen,
        granted=due.granted,
        refusals=refusals_told(due.refusals, language),
    )


def redemption_told(redemption: Redemption, language: Language) -> RedemptionTold:
    """A redemption as it stands."""
    return RedemptionTold(
        id=redemption.id,
        state=redemption.state.value,
        list_fen=redemption.list_fen,
        pay=redemption.pay_fen,
        sequence=redemption.sequence,
        granted=redemption.granted,
        offer=redemption.offer,
        name=redemption.offer_name[language],
        units=redemption.units,
        masked=redemption.masked,
        cashier=redemption.cashier,
        day=redemption.business_day,
        authorised_at=redemption.authorised_at,
        completed_at=redemption.completed_at,
        pos_reference=redemption.pos_reference,
        reason=redemption.reason,
        voided_units=redemption.voided_units,
    )
