"""Findings for a person to settle: page by page with their story, and the decision on one or many.

`accepted`: it counts as it is. `charged`: the merchant bears it; the subsidy for the sale (or an amount that is named)
is taken off in the month of the decision. `dismissed`: no fault after all. Each may be decided anew; what was charged
comes back then. Headquarters voids nothing: what a member has used up is the till's to give back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import Connection, and_, func, or_, select, tuple_

from sync.errors import MessageMalformed
from sync.headquarters.money.errors import ConflictMissing, NothingToCharge
from sync.headquarters.money.months import day_of, effective_day
from sync.headquarters.money.record import add_charge, hold_alone, hold_open, month_now
from sync.headquarters.money.story import Story, paid_for, stories
from sync.headquarters.money.tables import charges, decisions
from sync.headquarters.people import audit
from sync.headquarters.projection import FlagCode
from sync.headquarters.storage import insert_or
from sync.headquarters.tables import flags, terminals
from sync.wire import SEQUENCE_MAX, TerminalId, parse_timestamp, timestamp
from terminal.ledger.bodies import refuse_card_numbers
from terminal.serving.people import Person

_KEY: Final = ("terminal", "sequence", "code")
_DECIDED: Final = ("decision", "note", "decided_by", "decided_at")
_QUERY: Final = (
    select(
        *(flags.c[name] for name in (*_KEY, "detail", "noted_at")),
        terminals.c.merchant,
        terminals.c.site,
        *(decisions.c[name] for name in _DECIDED),
    )
    .join(terminals, terminals.c.id == flags.c.terminal)
    .outerjoin(decisions, and_(*(decisions.c[name] == flags.c[name] for name in _KEY)))
)

CONFLICTS_PAGE_MAX: Final = 500
SETTLED_AT_ONCE_MAX: Final = 200  # a page with all ticked; one transaction, a few statements each
CHARGE_FEN_MAX: Final = 10**9  # ten million yuan: above any sale, and a slip of the finger is seen
NOTE_CHARS_MAX: Final = 500

Typed = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=NOTE_CHARS_MAX, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*$")
]
"""What a person types: lines of text, no other control characters."""


class Decision(StrEnum):
    """What a person decides on a finding."""

    ACCEPTED = "accepted"
    CHARGED = "charged"
    DISMISSED = "dismissed"


class FlagKey(BaseModel):
    """One finding: whose entry, and what was found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    terminal: TerminalId
    sequence: Annotated[int, Field(ge=1, le=SEQUENCE_MAX)]
    code: FlagCode

    def __str__(self) -> str:
        return f"{self.terminal} {self.sequence} {self.code}"


class Verdict(BaseModel):
    """One decision on one or many findings; `amount` (fen, of each) only with `charged`: none is the subsidy."""

    model_config = ConfigDict(extra="forbid")

    conflicts: Annotated[list[FlagKey], Field(min_length=1, max_length=SETTLED_AT_ONCE_MAX)]
    decision: Decision
    note: Typed = ""
    amount: Annotated[int, Field(ge=1, le=CHARGE_FEN_MAX)] | None = None

    @model_validator(mode="after")
    def _only_charges_have_amounts(self) -> Self:
        if self.amount is not None and self.decision is not Decision.CHARGED:
            raise ValueError("amount: only with charged")
        return self


@dataclass(frozen=True, slots=True)
class ConflictView:
    """A finding, its story, and what was decided. `charged` is what is taken off for it by now, in fen.

    `state` is `open` or the decision; `merchant` and `site` are those that the terminal was enrolled for.
    """

    terminal: str
    sequence: int
    code: str
    detail: str
    noted_at: datetime
    merchant: str
    site: str
    state: str
    note: str
    decided_by: str | None
    decided_at: datetime | None
    charged: int
    story: Story


State = Literal["open", "settled", "accepted", "charged", "dismissed"]


def page_of_conflicts(
    connection: Connection,
    *,
    state: State | None = None,
    code: FlagCode | None = None,
    merchant: str | None = None,
    terminal: str | None = None,
    before: str | None = None,
    limit: int,
) -> tuple[list[ConflictView], str | None]:
    """Findings noted last first, and the `before` of the next page (None: there is none). `MessageMalformed`."""
    query = _QUERY.order_by(flags.c.noted_at.desc(), flags.c.terminal, flags.c.sequence, flags.c.code)
    for column, wanted in ((flags.c.code, code), (terminals.c.merchant, merchant), (flags.c.terminal, terminal)):
        if wanted is not None:
            query = query.where(column == wanted)
    if state == "open":
        query = query.where(decisions.c.decision.is_(None))
    elif state == "settled":
        query = query.where(decisions.c.decision.is_not(None))
    elif state is not None:
        query = query.where(decisions.c.decision == state)
    if before is not None:
        query = query.where(_behind(before))
    most = min(limit, CONFLICTS_PAGE_MAX)
    rows = connection.execute(query.limit(most + 1)).all()
    views = _views(connection, rows[:most])
    return views, _cursor(rows[most - 1]) if len(rows) > most else None


def settle_conflicts(connection: Connection, verdict: Verdict, by: Person, *, now: datetime) -> list[ConflictView]:
    """Decide; all of them or none. Raises `ConflictMissing`, `NothingToCharge`, `CardNumberTyped`."""
    refuse_card_numbers("settle", "conflict", "note", verdict.note)
    keys = sorted(set(verdict.conflicts), key=lambda key: (key.terminal, key.sequence, key.code))
    found = _found(connection, keys)
    merchants = {key: found[key].story.merchant or found[key].merchant for key in keys}
    hold_alone(connection, *merchants.values())
    closed = hold_open(connection, sorted(set(merchants.values())))
    for key in keys:
        month = month_now(closed, merchants[key], now)
        charge = _charge_of(key, found[key].story, found[key].noted_at, now) | {
            "merchant": merchants[key],
            "month": month,
        }
        _charge(connection, key, verdict, charge)
        row = {
            **key.model_dump(mode="json"),
            "decision": verdict.decision.value,
            "note": verdict.note,
            "decided_by": by.id,
            "decided_at": now,
        }
        following = {name: row[name] for name in _DECIDED}
        statement = insert_or(connection, decisions).values(row)
        connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=following))
        audit.note(connection, by, f"conflict-{verdict.decision}", str(key), now=now, detail=verdict.note)
    after = _found(connection, keys)
    return [after[key] for key in keys]


def _charge_of(key: FlagKey, story: Story, noted_at: datetime, now: datetime) -> dict[str, Any]:
    """A row of `charges` without its merchant, month and amount."""
    return {
        **key.model_dump(mode="json"),
        "redemption": story.redemption,
        "offer": story.offer or "",
        "day": effective_day(story.business_day or day_of(noted_at), now),
        "noted_at": now,
    }


def _charge(connection: Connection, key: FlagKey, verdict: Verdict, charge: Mapping[str, Any]) -> None:
    """Take back what an earlier decision charged, then charge what this one says."""
    of_key = and_(*(charges.c[name] == value for name, value in key.model_dump(mode="json").items()))
    sums = select(charges.c.follows_subsidy, func.sum(charges.c.amount_fen)).where(of_key)
    for follows, amount in connection.execute(sums.group_by(charges.c.follows_subsidy)).all():
        if amount:
            add_charge(connection, {**charge, "follows_subsidy": follows, "amount_fen": -int(amount)})
    if verdict.decision is not Decision.CHARGED:
        return
    owed, redemption = verdict.amount, charge["redemption"]
    if owed is None and redemption is not None:
        owed = paid_for(connection, [redemption]).get(redemption, 0)
    if owed is None or owed <= 0:
        raise NothingToCharge("settle", str(key))
    add_charge(connection, {**charge, "follows_subsidy": int(verdict.amount is None), "amount_fen": -owed})


def _found(connection: Connection, keys: Sequence[FlagKey]) -> dict[FlagKey, ConflictView]:
    wanted = [(key.terminal, key.sequence, key.code.value) for key in keys]
    query = _QUERY.where(tuple_(*(flags.c[name] for name in _KEY)).in_(wanted))
    views = {
        FlagKey(terminal=view.terminal, sequence=view.sequence, code=FlagCode(view.code)): view
        for view in _views(connection, connection.execute(query).all())
    }
    for key in keys:
        if key not in views:
            raise ConflictMissing("settle", str(key))
    return views


def _views(connection: Connection, rows: Sequence[Any]) -> list[ConflictView]:
    told = stories(connection, [(row.terminal, row.sequence) for row in rows])
    charged = _charged(connection, rows)
    return [
        ConflictView(
            row.terminal,
            row.sequence,
            row.code,
            row.detail,
            row.noted_at,
            row.merchant,
            row.site,
            row.decision or "open",
            row.note or "",
            row.decided_by,
            row.decided_at,
            charged.get((row.terminal, row.sequence, row.code), 0),
            told.get((row.terminal, row.sequence), Story()),
        )
        for row in rows
    ]


def _charged(connection: Connection, rows: Sequence[Any]) -> Mapping[tuple[str, int, str], int]:
    keys = (charges.c.terminal, charges.c.sequence, charges.c.code)
    wanted = [(row.terminal, row.sequence, row.code) for row in rows]
    query = select(*keys, func.sum(charges.c.amount_fen)).where(tuple_(*keys).in_(wanted)).group_by(*keys)
    return {(terminal, sequence, code): -int(fen) for terminal, sequence, code, fen in connection.execute(query)}


def _cursor(row: Any) -> str:
    return f"{timestamp(row.noted_at)}~{row.noted_at.microsecond}~{row.terminal}~{row.sequence}~{row.code}"


def _behind(cursor: str) -> Any:
    """The findings after the one that `cursor` names, in the order of the page."""
    parts = cursor.split("~")
    try:
        at, microsecond, terminal, sequence, code = parts
        moment = parse_timestamp(at).replace(microsecond=int(microsecond))
        place = (terminal, int(sequence), code)
    except (ValueError, MessageMalformed) as error:
        raise MessageMalformed("read", "before", reason="not from a page before") from error
    same = tuple_(flags.c.terminal, flags.c.sequence, flags.c.code) > place
    return or_(flags.c.noted_at < moment, and_(flags.c.noted_at == moment, same))
