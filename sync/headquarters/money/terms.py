"""What the centre owes each merchant: a share of the saving, by offer and from a day on. Finance sets it, audited.

Terms never reach back into a closed month, and no step that is settled counts for a day after its month, so what is
settled keeps its share for ever. Open months are counted anew: at once, or in portions where there is much
(`recounts`).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Connection

from config.errors import Retry, Words
from sync.headquarters.enrolment import PlainLabel
from sync.headquarters.errors import HeadquartersError
from sync.headquarters.money.errors import TermsSettled
from sync.headquarters.money.record import hold_alone, hold_open, terms_of
from sync.headquarters.money.recounts import recount_or_note
from sync.headquarters.money.steps import WHOLE_BP, Terms
from sync.headquarters.money.tables import ALL_OFFERS, subsidy_terms
from sync.headquarters.people import audit
from sync.headquarters.storage import insert_or
from terminal.serving.people import Person

TERMS_MAX: Final = 200  # of one merchant: a dozen offers over the years; each is a condition of one statement


class TooManyTerms(HeadquartersError):
    """More terms than one merchant's settlement can be counted with."""

    code = "too-many-terms"
    retry = Retry.PARK
    what = Words("{subject}的补贴条款已有{count_max}条", "{subject} has {count_max} terms already")
    hint = Words("请改动已有的条款", "change those that are there")


class NewTerms(BaseModel):
    """From `first_day` on, `share_bp` basis points of what members save; without `offer` for every other offer."""

    model_config = ConfigDict(extra="forbid")

    first_day: date
    share_bp: Annotated[int, Field(ge=0, le=WHOLE_BP)]
    offer: PlainLabel | Annotated[str, StringConstraints(max_length=0)] = ALL_OFFERS


def set_terms(connection: Connection, merchant: str, wanted: NewTerms, by: Person, *, now: datetime) -> list[Terms]:
    """Set what holds from a day on, replacing what began on the same day; all terms of the merchant then. Whoever
    commits it calls `recounts.finish`.

    Raises `TermsSettled`, `TooManyTerms`.
    """
    hold_alone(connection, merchant)
    through = hold_open(connection, [merchant]).get(merchant, "")
    first_day = wanted.first_day.isoformat()
    if first_day[:7] <= through:
        raise TermsSettled("set terms", merchant, month=through)
    row = {
        "merchant": merchant,
        "offer": wanted.offer,
        "first_day": first_day,
        "share_bp": wanted.share_bp,
        "set_by": by.id,
        "set_at": now,
    }
    following = {name: row[name] for name in ("share_bp", "set_by", "set_at")}
    statement = insert_or(connection, subsidy_terms).values(row)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["merchant", "offer", "first_day"], set_=following)
    )
    terms = terms_of(connection, [merchant])[merchant]
    if len(terms) > TERMS_MAX:
        raise TooManyTerms("set terms", merchant, count_max=TERMS_MAX)
    recount_or_note(connection, merchant, terms, through, now)
    said = f"{wanted.offer or '*'} {first_day} {wanted.share_bp} bp"
    audit.note(connection, by, "subsidy-set", merchant, now=now, detail=said)
    return sorted(terms, key=lambda each: (each.offer, each.first_day))
