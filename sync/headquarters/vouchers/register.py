"""The register in the database: read, changed and numbered under the one row of `voucher_state`.

Every change holds that row until it is committed and takes one number from it. A change touches offers; each keeps the
number of the last one, which is all that a heartbeat looks at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, func, select, update

from sync.headquarters.people import audit
from sync.headquarters.storage import insert_or
from sync.headquarters.vouchers.errors import VoucherOfferMissing, VoucherUnregistered
from sync.headquarters.vouchers.tables import voucher_offers, voucher_state, vouchers
from terminal.membership.token import ProgrammeKey
from terminal.offers.voucher import VoucherRecord
from terminal.serving.people import Person
from terminal.vouchers.register import VouchersKeyMismatch

ROWS_AT_ONCE: Final = 5_000  # a few MB of parameters at a time, however long the list
SUBJECT_HEX: Final = 12  # of a code's hash in the log: tells two vouchers apart, and is good for nothing else
_FIELDS: Final = ("offer", "holder", "last_day", "merchants", "revoked")


@dataclass(frozen=True, slots=True)
class RegisterState:
    """Where the register stands. `version` 0: headquarters keeps none."""

    version: int
    key_version: int | None
    key_fingerprint: str | None


@dataclass(frozen=True, slots=True)
class OfferMark:
    """The last change to any voucher of an offer."""

    offer: str
    version: int
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class OfferVouchers:
    """What the register holds of one offer, for people."""

    offer: str
    count: int
    revoked: int
    version: int
    changed_at: datetime


def state_of(connection: Connection) -> RegisterState:
    """One look-up by key."""
    return RegisterState(*connection.execute(select(*_state_columns()).where(voucher_state.c.id == 1)).one())


def check_key(state: RegisterState, key: ProgrammeKey) -> None:
    """Raise `VouchersKeyMismatch` unless this very key made the register, or there is none yet."""
    made_with = (state.key_version, state.key_fingerprint)
    if state.key_fingerprint is not None and made_with != (key.version, key.fingerprint):
        raise VouchersKeyMismatch(
            "check key",
            "register",
            register=f"v{state.key_version}/{state.key_fingerprint}",
            key=f"v{key.version}/{key.fingerprint}",
        )


def lock(connection: Connection, key: ProgrammeKey) -> RegisterState:
    """Nobody else changes the register until this transaction ends. Raises `VouchersKeyMismatch`."""
    state = _locked(connection)
    check_key(state, key)
    return state


def marks_of(connection: Connection) -> list[OfferMark]:
    """The last change of every offer, by offer; a handful."""
    columns = (voucher_offers.c.offer, voucher_offers.c.version, voucher_offers.c.changed_at)
    return [OfferMark(*row) for row in connection.execute(select(*columns).order_by(voucher_offers.c.offer))]


def summary(connection: Connection) -> list[OfferVouchers]:
    """What the register holds, offer by offer; those whose vouchers were all forgotten are left out."""
    revoked = func.count().filter(vouchers.c.revoked)
    query = (
        select(vouchers.c.offer, func.count(), revoked, voucher_offers.c.version, voucher_offers.c.changed_at)
        .join(voucher_offers, voucher_offers.c.offer == vouchers.c.offer)
        .group_by(vouchers.c.offer, voucher_offers.c.version, voucher_offers.c.changed_at)
        .order_by(vouchers.c.offer)
    )
    return [OfferVouchers(*row) for row in connection.execute(query)]


def records(
    connection: Connection, *, offers: Sequence[str] | None = None, after: int = 0, limit: int | None = None
) -> Iterator[tuple[bytes, VoucherRecord]]:
    """Vouchers by the hashes of their codes: of these offers (None: of all), changed after a number."""
    columns = [vouchers.c[name] for name in ("hash", *_FIELDS)]
    query: Select[Any] = select(*columns).where(vouchers.c.version > after).limit(limit)
    if offers is not None:
        query = query.where(vouchers.c.offer.in_(offers))
    sets: dict[str, frozenset[str]] = {}
    for hashed, offer, holder, last_day, merchants, revoked in connection.execute(query):
        good_at = sets.get(merchants)
        if good_at is None:
            good_at = sets[merchants] = frozenset(filter(None, merchants.split(";")))
        yield bytes(hashed), VoucherRecord(offer, holder, last_day, good_at, bool(revoked))


def find(connection: Connection, hashed: bytes) -> VoucherRecord:
    """The voucher whose code has this hash. Raises `VoucherUnregistered`."""
    columns = [vouchers.c[name] for name in _FIELDS]
    row = connection.execute(select(*columns).where(vouchers.c.hash == hashed)).one_or_none()
    if row is None:
        raise VoucherUnregistered("find", "voucher")
    merchants = frozenset(filter(None, row.merchants.split(";")))
    return VoucherRecord(row.offer, row.holder, row.last_day, merchants, bool(row.revoked))


def put(
    connection: Connection,
    state: RegisterState,
    changed: Iterable[tuple[bytes, VoucherRecord]],
    *,
    offers: Iterable[str],
    key: ProgrammeKey,
    now: datetime,
) -> int:
    """Make these vouchers stand so, and number the change; `offers` are all that it touches. The number.

    The caller has called `lock` in this transaction, and `state` is its answer.
    """
    number = state.version + 1
    statement = insert_or(connection, vouchers)
    fields = {name: statement.excluded[name] for name in (*_FIELDS, "version")}
    statement = statement.on_conflict_do_update(index_elements=[vouchers.c.hash], set_=fields)
    rows: list[dict[str, Any]] = []
    for hashed, record in changed:
        rows.append(_row(hashed, record, number))
        if len(rows) == ROWS_AT_ONCE:
            connection.execute(statement, rows)
            rows = []
    if rows:
        connection.execute(statement, rows)
    made_with = {"key_version": key.version, "key_fingerprint": key.fingerprint}
    connection.execute(update(voucher_state).where(voucher_state.c.id == 1).values(made_with))
    _mark(connection, offers, number, now)
    return number


def withdraw(
    connection: Connection, hashed: bytes, key: ProgrammeKey, *, revoked: bool, by: Person, now: datetime
) -> VoucherRecord:
    """Withdraw one voucher, or restore it. Repeating it changes nothing.

    Raises `VoucherUnregistered`, `VouchersKeyMismatch`.
    """
    state = lock(connection, key)
    record = find(connection, hashed)
    if record.revoked == revoked:
        return record
    after = VoucherRecord(record.offer, record.holder, record.last_day, record.merchants, revoked)
    put(connection, state, [(hashed, after)], offers=[record.offer], key=key, now=now)
    action = "voucher-withdraw" if revoked else "voucher-restore"
    audit.note(connection, by, action, hashed.hex()[:SUBJECT_HEX], now=now, detail=record.offer)
    return after


def forget(connection: Connection, offer: str, *, by: Person, now: datetime) -> int:
    """Take every voucher of an offer that is over out of the register; how many. Raises `VoucherOfferMissing`.

    It needs no key: when the programme's key was changed, this is how the register of the old one is emptied, and an
    empty register belongs to none.
    """
    state = _locked(connection)
    count = connection.execute(delete(vouchers).where(vouchers.c.offer == offer)).rowcount
    if count == 0:
        raise VoucherOfferMissing("forget", offer)
    _mark(connection, [offer], state.version + 1, now)
    if connection.execute(select(vouchers.c.offer).limit(1)).first() is None:
        connection.execute(update(voucher_state).values(key_version=None, key_fingerprint=None))
    audit.note(connection, by, "voucher-forget", offer, now=now, detail=f"{count} vouchers")
    return count


def _locked(connection: Connection) -> RegisterState:
    query = select(*_state_columns()).where(voucher_state.c.id == 1).with_for_update()
    return RegisterState(*connection.execute(query).one())


def _mark(connection: Connection, offers: Iterable[str], number: int, now: datetime) -> None:
    """Note that the change `number` touched these offers."""
    connection.execute(update(voucher_state).where(voucher_state.c.id == 1).values(version=number))
    statement = insert_or(connection, voucher_offers)
    fields = {"version": statement.excluded.version, "changed_at": statement.excluded.changed_at}
    statement = statement.on_conflict_do_update(index_elements=[voucher_offers.c.offer], set_=fields)
    rows = [{"offer": offer, "version": number, "changed_at": now} for offer in sorted(set(offers))]
    if rows:
        connection.execute(statement, rows)


def _row(hashed: bytes, record: VoucherRecord, number: int) -> dict[str, Any]:
    return {
        "hash": hashed,
        "offer": record.offer,
        "holder": record.holder,
        "last_day": record.last_day,
        "merchants": ";".join(sorted(record.merchants)),
        "revoked": record.revoked,
        "version": number,
    }


def _state_columns() -> list[Any]:
    return [voucher_state.c[name] for name in RegisterState.__dataclass_fields__]
