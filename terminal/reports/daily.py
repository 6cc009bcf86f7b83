"""The daily report: what one business day's redemptions come to. Pure.

What counts:

- completed sales, less what was voided of them; a sale voided in part counts as one sale with what is left of it;
- one voided whole, one cancelled and one not settled yet come to nothing; each is shown with its reason or amount.

A redemption belongs to its own business day, whatever the clock says; its hour is the Asia/Shanghai hour in which it
was authorised. Every breakdown adds up to the same total.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from config.errors import Words
from config.zone import SHANGHAI
from terminal.ledger.project import Redemption, RedemptionState

HOURS = 24
CHIP_PASSED_BY = frozenset({"manual", "fallback"})  # ways of reading a card that a manager should look at


@dataclass(frozen=True, slots=True)
class Sums:
    """Sales, units (tickets, visits, passes) and money in fen. `pay_fen` is what the POS took, fees included."""

    sales: int = 0
    units: int = 0
    list_fen: int = 0
    pay_fen: int = 0
    fees_fen: int = 0

    @property
    def saving_fen(self) -> int:
        """What the members paid less than the list price; fees are no part of it."""
        return self.list_fen + self.fees_fen - self.pay_fen

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.sales + other.sales,
            self.units + other.units,
            self.list_fen + other.list_fen,
            self.pay_fen + other.pay_fen,
            self.fees_fen + other.fees_fen,
        )

    def __sub__(self, other: Sums) -> Sums:
        return self + Sums(-other.sales, -other.units, -other.list_fen, -other.pay_fen, -other.fees_fen)


@dataclass(frozen=True, slots=True)
class OfferRow:
    """One offer's part; `name` is the newest that the day's sales carry."""

    offer: str
    name: Words
    sums: Sums


@dataclass(frozen=True, slots=True)
class CashierRow:
    """The part of the cashier who authorised; `name` is the id where no name is known."""

    cashier: str
    name: str
    sums: Sums


@dataclass(frozen=True, slots=True)
class HourRow:
    """The part of one hour of the day, 0 to 23."""

    hour: int
    sums: Sums


@dataclass(frozen=True, slots=True)
class RedemptionRow:
    """One redemption of the day.

    `at` is its authorisation in Asia/Shanghai; `sold` what was authorised, `voided` what was taken back of it,
    `counted` what it adds to the day's total. `settled_by` is the name of the cashier of the latest step,
    `approved_by` that of the manager who let the card number be typed.
    """

    id: str
    sequence: int
    at: datetime
    state: RedemptionState
    offer: str
    offer_name: Words
    cashier: str
    cashier_name: str
    settled_by: str | None
    masked: str
    sold: Sums
    voided: Sums
    counted: Sums
    pos_reference: str | None
    reason: str | None
    entry_mode: str
    approved_by: str | None


@dataclass(frozen=True, slots=True)
class DailyReport:
    """One business day (YYYY-MM-DD). Rows: offers and cashiers by id, 24 hours, redemptions in the ledger's order."""

    day: str
    total: Sums
    voided: Sums
    states: Mapping[RedemptionState, int]
    offers: tuple[OfferRow, ...]
    cashiers: tuple[CashierRow, ...]
    hours: tuple[HourRow, ...]
    redemptions: tuple[RedemptionRow, ...]

    @property
    def voids(self) -> tuple[RedemptionRow, ...]:
        """Those of which some or all was taken back, with their reasons."""
        return tuple(row for row in self.redemptions if row.voided.units)

    @property
    def without_chip(self) -> tuple[RedemptionRow, ...]:
        """Those whose card number was typed, or whose stripe stood in for a chip that could not be read."""
        return tuple(row for row in self.redemptions if row.entry_mode in CHIP_PASSED_BY)

    @property
    def unsettled(self) -> tuple[RedemptionRow, ...]:
        """Those that a cashier still has to complete or cancel."""
        return tuple(row for row in self.redemptions if row.state is RedemptionState.AUTHORISED)


def daily(redemptions: Iterable[Redemption], day: str, names: Mapping[str, str] | None = None) -> DailyReport:
    """The report of `day` (YYYY-MM-DD); redemptions of other business days are passed over.

    `names` are the cashiers' names by id.
    """
    of_day = sorted((each for each in redemptions if each.business_day == day), key=lambda each: each.sequence)
    rows = tuple(_row(each, names or {}) for each in of_day)
    counted = Counter(row.state for row in rows)
    return DailyReport(
        day=day,
        total=_sum(row.counted for row in rows),
        voided=_sum(row.voided for row in rows),
        states={state: counted[state] for state in RedemptionState},
        offers=_by_offer(rows),
        cashiers=_by_cashier(rows),
        hours=tuple(HourRow(hour, _sum(row.counted for row in rows if row.at.hour == hour)) for hour in range(HOURS)),
        redemptions=rows,
    )


def _row(redemption: Redemption, names: Mapping[str, str]) -> RedemptionRow:
    sold, voided = _sold(redemption), _voided(redemption)
    settled_by, approved_by = redemption.settled_by, redemption.approved_by
    return RedemptionRow(
        id=redemption.id,
        sequence=redemption.sequence,
        at=datetime.fromisoformat(redemption.authorised_at).astimezone(SHANGHAI),
        state=redemption.state,
        offer=redemption.offer,
        offer_name=_offer_name(redemption),
        cashier=redemption.cashier,
        cashier_name=names.get(redemption.cashier, redemption.cashier),
        settled_by=None if settled_by is None else names.get(settled_by, settled_by),
        masked=redemption.masked,
        sold=sold,
        voided=voided,
        counted=sold - voided if redemption.state is RedemptionState.COMPLETED else Sums(),
        pos_reference=redemption.pos_reference,
        reason=redemption.reason,
        entry_mode=redemption.entry_mode,
        approved_by=None if approved_by is None else names.get(approved_by, approved_by),
    )


def _sold(redemption: Redemption) -> Sums:
    return Sums(1, redemption.units, redemption.list_fen, redemption.pay_fen, _fees_fen(redemption))


def _voided(redemption: Redemption) -> Sums:
    """What the ledger took back. The fees within follow its own rule for amounts: pro rata, rounded down."""
    return Sums(
        sales=1 if redemption.state is RedemptionState.VOIDED else 0,
        units=redemption.voided_units,
        list_fen=redemption.voided_list_fen,
        pay_fen=redemption.voided_pay_fen,
        fees_fen=_fees_fen(redemption) * redemption.voided_units // redemption.units,
    )


def _fees_fen(redemption: Redemption) -> int:
    return sum(int(fee["amount_fen"]) for fee in redemption.fees)


def _offer_name(redemption: Redemption) -> Words:
    name = redemption.offer_name
    return Words(name.get("zh", redemption.offer), name.get("en", redemption.offer))


def _by_offer(rows: Iterable[RedemptionRow]) -> tuple[OfferRow, ...]:
    groups: dict[str, list[RedemptionRow]] = {}
    for row in rows:
        groups.setdefault(row.offer, []).append(row)
    return tuple(
        OfferRow(offer, group[-1].offer_name, _sum(row.counted for row in group))
        for offer, group in sorted(groups.items())
    )


def _by_cashier(rows: Iterable[RedemptionRow]) -> tuple[CashierRow, ...]:
    groups: dict[str, list[RedemptionRow]] = {}
    for row in rows:
        groups.setdefault(row.cashier, []).append(row)
    return tuple(
        CashierRow(cashier, group[-1].cashier_name, _sum(row.counted for row in group))
        for cashier, group in sorted(groups.items())
    )


def _sum(parts: Iterable[Sums]) -> Sums:
    return sum(parts, start=Sums())
