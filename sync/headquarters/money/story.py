"""What stands behind a finding: the entry as it came, the sale it belongs to, and what is paid for it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from sync.headquarters.money.tables import charges, settlement_steps
from sync.headquarters.tables import entries, redemptions
from terminal.ledger.entry import Entry, parse_entry
from terminal.ledger.errors import EntryInvalid

Place = tuple[str, int]  # a terminal and a sequence


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the sale used up of a limit: `amount` under `key`, where the terminal's limit was `max`."""

    key: str
    amount: int
    max: int


@dataclass(frozen=True, slots=True)
class Story:
    """An entry and its sale, money in fen. What is None could not be read, or there is no sale.

    `subsidy` is what settlements now pay for the sale, charges taken off.
    """

    kind: str | None = None
    at: str | None = None
    cashier: str | None = None
    redemption: str | None = None
    state: str | None = None
    merchant: str | None = None
    offer: str | None = None
    offer_name: Mapping[str, str] | None = None
    business_day: str | None = None
    masked: str | None = None
    units: int | None = None
    voided_units: int | None = None
    list: int | None = None
    pay: int | None = None
    subsidy: int | None = None
    limits: tuple[Claimed, ...] = ()


def stories(connection: Connection, places: Iterable[Place]) -> dict[Place, Story]:
    """The story of each entry that headquarters has; three queries, however many."""
    wanted = sorted(set(places))
    read = {place: _read(body) for place, body in _bodies(connection, wanted).items()}
    sales = _sales(connection, {entry.redemption for entry in read.values() if entry})
    paid = paid_for(connection, sales)
    return {place: _story(place, entry, sales, paid) for place, entry in read.items()}


def paid_for(connection: Connection, ids: Iterable[str]) -> dict[str, int]:
    """What settlements pay for each redemption by now, charges taken off."""
    wanted = list(ids)
    paid: dict[str, int] = {}
    for column, amount in (
        (settlement_steps.c.redemption, settlement_steps.c.subsidy_fen),
        (charges.c.redemption, charges.c.amount_fen),
    ):
        query = select(column.label("redemption"), func.sum(amount).label("fen"))
        for each in connection.execute(query.where(column.in_(wanted)).group_by(column)):
            paid[each.redemption] = paid.get(each.redemption, 0) + int(each.fen)
    return paid


def _bodies(connection: Connection, places: list[Place]) -> dict[Place, bytes]:
    query = select(entries.c.terminal, entries.c.sequence, entries.c.body)
    found = connection.execute(query.where(tuple_(entries.c.terminal, entries.c.sequence).in_(places)))
    return {(each.terminal, each.sequence): bytes(each.body) for each in found}


def _read(body: bytes) -> Entry | None:
    try:
        return parse_entry(body)
    except EntryInvalid:
        return None


def _sales(connection: Connection, ids: set[str]) -> dict[str, Any]:
    found = connection.execute(select(redemptions).where(redemptions.c.id.in_(ids)))
    return {each["id"]: each for each in found.mappings()}


def _story(place: Place, entry: Entry | None, sales: Mapping[str, Any], paid: Mapping[str, int]) -> Story:
    if entry is None:
        return Story()
    kind, at, cashier = entry.kind.value, entry.at, entry.cashier
    sale = sales.get(entry.redemption)
    if sale is None or sale["terminal"] != place[0]:  # another terminal's sale is not this one's to be charged for
        return Story(kind, at, cashier)
    record = json.loads(sale["record"])
    return Story(
        kind,
        at,
        cashier,
        redemption=sale["id"],
        state=sale["state"],
        merchant=sale["merchant"],
        offer=sale["offer"],
        offer_name=record["offer_name"],
        business_day=sale["business_day"],
        masked=sale["masked"],
        units=sale["units"],
        voided_units=sale["voided_units"],
        list=sale["list_fen"],
        pay=sale["pay_fen"],
        subsidy=paid.get(sale["id"], 0),
        limits=tuple(Claimed(each["key"], each["amount"], each["max"]) for each in record["claims"]),
    )
