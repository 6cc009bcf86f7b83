"""Holds: room for one redemption, asked for while the line is up, in one short transaction.

A hold on a `lease` key makes the terminal's slice larger by what it lacks; whether that very sale comes about does not
matter, for what is left over lies in its slice like any other unit. A hold on a `flag` or `refuse` key keeps the
amount for that redemption alone, until its authorisation arrives, it is given back, or it can come no more: when the
terminal, later than the hold's life on its own monotonic clock or after a new start, reports that all is pushed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from sync.headquarters.pools import rows
from sync.headquarters.pools.room import take_hold, take_room
from sync.headquarters.pools.tables import holds
from sync.headquarters.pools.terms import Books, KeyTerms, storable, terms_of
from sync.headquarters.projection import Place
from sync.headquarters.storage import among
from sync.headquarters.tables import terminals
from sync.wire import timestamp
from sync.wire_grants import HeldKey, HoldAnswer, HoldKey, HoldRequest, LeaseReport
from terminal.offers.counts import Offline

# From the answer to the cashier's click: a customer counts coins. What is not used by then frees itself.
HOLD_LIFE_S: Final = 120
# Settled holds are kept so that a late copy of a request finds them; a signature is good for minutes.
SETTLED_DAYS_KEPT: Final = 2

_HOLD: Final = select(holds).where(holds.c.redemption == bindparam("redemption")).with_for_update()


@dataclass(frozen=True, slots=True)
class _Asking:
    """What one request is worked on with; `terms` are of the keys that are counted here, `wanted` what is asked."""

    connection: Connection
    place: Place
    asked: HoldRequest
    now: datetime
    terms: Mapping[str, KeyTerms]
    replaced: Mapping[str, int]  # what an earlier attempt at the same redemption keeps

    @property
    def wanted(self) -> dict[str, HoldKey]:
        """What is asked under each key that counts."""
        return {each.key: each for each in self.asked.keys if each.key in self.terms}

    @property
    def leased(self) -> list[str]:
        """The keys that slices are cut from."""
        return [key for key, each in self.terms.items() if each.policy is Offline.LEASE]


def ask_hold(connection: Connection, place: Place, asked: HoldRequest, now: datetime, books: Books) -> HoldAnswer:
    """Make room for one redemption of the terminal at `place`, or say how the keys stand; all keys or none.

    The same request again is given the same answer while its hold stands. A refusal keeps nothing, so it is looked at
    afresh.
    """
    suspended = rows.lock_lease(connection, place.terminal)["suspended"]
    before = _lock_hold(connection, asked.redemption)
    if before is not None and (said := _said_before(before, place, asked, now)) is not None:
        return said
    replaced = _json_amounts(before["amounts"]) if before is not None else {}
    asking = _Asking(connection, place, asked, now, _terms(connection, asked, books), replaced)
    mine = rows.lock_allotments(connection, place.terminal, asking.leased) if asking.leased else {}
    if before is None and not suspended and (granted := _grant_at_once(asking, mine)) is not None:
        return granted
    locked = _lock_known(connection, asking)
    room = {key: _room(locked[key]) + replaced.get(key, 0) for key in asking.terms}
    barred = suspended and any(each.policy is not Offline.FLAG for each in asking.terms.values())
    lacking = [key for key, each in asking.wanted.items() if each.amount > room[key]]
    if lacking or barred:
        # A slice elsewhere may hold what is missing here: whoever has some is asked to say so.
        rows.ask_to_return(connection, set(lacking) & set(asking.leased), place.terminal, now)
        return _refused([_told(locked[key]) for key in sorted(asking.terms)], now)
    grown, kept, changes = _shared_out(asking, mine)
    rows.add_to_pools(connection, changes)
    keys = [
        _told(locked[key], grown.get(key, 0), each.amount - replaced.get(key, 0))
        for key, each in sorted(asking.wanted.items())
    ]
    return _grant(asking, kept, keys, known=before is not None)


def give_back_hold(connection: Connection, place: Place, redemption: str, attempt: int, now: datetime) -> HoldAnswer:
    """The hold will not be used. Harmless when there is none, and again; a request for it that comes late finds none.

    What a `lease` key was given stays in the terminal's slice.
    """
    rows.lock_lease(connection, place.terminal)
    before = _lock_hold(connection, redemption)
    if before is None:
        _insert_given_back(connection, place, redemption, attempt, now)
    elif before["terminal"] == place.terminal and before["state"] == "open" and before["attempt"] <= attempt:
        _free(connection, [before], "given-back")
    return _refused((), now)


def release_dead(connection: Connection, terminal: str, told: LeaseReport, now: datetime) -> int:
    """Free the holds that this report proves will never be used; how many."""
    here = connection.scalar(select(terminals.c.last_sequence).where(terminals.c.id == terminal)) or 0
    if told.sequence > here:
        return 0
    of_terminal = holds.c.terminal == terminal
    query = select(holds).where(of_terminal, holds.c.state == "open").order_by(holds.c.redemption).with_for_update()
    dead = [row for row in map(dict, connection.execute(query).mappings()) if _is_dead(row, told)]
    _free(connection, dead, "released")
    old = (holds.c.state != "open", holds.c.asked_at < now - timedelta(days=SETTLED_DAYS_KEPT))
    connection.execute(delete(holds).where(of_terminal, *old))
    return len(dead)


def take_up(connection: Connection, terminal: str, redemptions: Sequence[str]) -> dict[str, dict[str, int]]:
    """The open holds of these redemptions, now used; by redemption, what was kept for it, key by key.

    What was kept is not taken out of the pools here: the caller does, with what the sales themselves add.
    """
    if not redemptions:
        return {}
    asked = among(connection, holds.c.redemption, redemptions)
    of_these = (asked, holds.c.terminal == terminal, holds.c.state == "open")
    query = select(holds.c.redemption, holds.c.amounts).where(*of_these).order_by(holds.c.redemption).with_for_update()
    found = {row.redemption: _json_amounts(row.amounts) for row in connection.execute(query)}
    if found:
        connection.execute(
            update(holds)
            .where(among(connection, holds.c.redemption, sorted(found)))
            .values(state="used", amounts="", answer="")
        )
    return found


def _is_dead(hold: Mapping[str, Any], told: LeaseReport) -> bool:
    if hold["boot"] != told.boot:
        return True  # stale reports never get here, so the boot of the hold is over
    return bool(told.monotonic_ms > hold["monotonic_ms"] + hold["life_s"] * 1000)


def _said_before(before: Mapping[str, Any], place: Place, asked: HoldRequest, now: datetime) -> HoldAnswer | None:
    """The answer when this redemption has been asked for already; None: it is a new attempt at it."""
    newer = asked.attempt > before["attempt"]
    if before["terminal"] != place.terminal or before["state"] == "used" or asked.attempt < before["attempt"]:
        return _refused((), now)
    if newer:
        return None
    if before["state"] != "open":  # given back: an old copy of the request
        return _refused((), now)
    return HoldAnswer.model_validate_json(before["answer"])


def _terms(connection: Connection, asked: HoldRequest, books: Books) -> dict[str, KeyTerms]:
    """What holds for each key that is counted here; the terminal's own number where the book is none of ours."""
    book = books.book_of(connection, asked.revision, asked.book_hash)
    found = {each.key: terms_of(book, each.key, each.max) for each in asked.keys if storable(each.key)}
    return {key: terms for key, terms in found.items() if terms is not None}


def _lock_known(connection: Connection, asking: _Asking) -> dict[str, dict[str, Any]]:
    """The pools of all keys, locked by key; those that nobody asked for before are made."""
    keys = {*asking.terms, *asking.replaced}
    known = rows.read_pools(connection, keys)
    if not rows.outdated(known, asking.terms.values()):
        return rows.lock_pools(connection, keys)
    told = {key: rows.pool_row(each) for key, each in asking.terms.items()}
    return rows.take_pools(connection, {**known, **told}.values())


def _room(pool: Mapping[str, Any]) -> int:
    return int(pool["max"] - pool["allotted"] - pool["excess"] - pool["used"] - pool["held"])


def _shared_out(
    asking: _Asking, mine: dict[str, rows.Allotment]
) -> tuple[dict[str, int], dict[str, int], dict[str, dict[str, int]]]:
    """Give what was asked for: the new totals of `lease` keys, what is kept for the redemption, and what that changes
    in the pools.
    """
    grown: dict[str, int] = {}
    kept: dict[str, int] = {}
    changes: dict[str, dict[str, int]] = {key: {"held": -amount} for key, amount in asking.replaced.items()}
    for key, each in asking.wanted.items():
        if asking.terms[key].policy is Offline.LEASE:
            allotment = mine.setdefault(key, rows.new_allotment(key, asking.now))
            allotment.granted += each.amount
            grown[key] = allotment.granted
            changes.setdefault(key, {})["allotted"] = each.amount
        else:
            kept[key] = each.amount
            changes[key] = {"held": each.amount - asking.replaced.get(key, 0)}
    rows.write_allotment(asking.connection, asking.place.terminal, [mine[key] for key in sorted(grown)])
    return grown, kept, changes


def _grant_at_once(asking: _Asking, mine: dict[str, rows.Allotment]) -> HoldAnswer | None:
    """The first attempt at a sale whose keys all have room; None: they have to be looked at."""
    amounts = {key: each.amount for key, each in asking.wanted.items()}
    if asking.connection.dialect.name != "postgresql" or not amounts:
        taken = take_room(asking.connection, asking.terms, amounts)
        if taken is None:
            return None
        grown, kept, _ = _shared_out(asking, mine)
        return _grant(asking, kept, _all_told(taken, grown))
    grown = {key: amounts[key] + (mine[key].granted if key in mine else 0) for key in asking.leased}
    kept = {key: amount for key, amount in amounts.items() if key not in grown}
    granted = HoldAnswer(granted=True, life_s=HOLD_LIFE_S, time=timestamp(asking.now))
    taken = take_hold(asking.connection, asking.terms, amounts, grown, _row(asking, kept, granted))
    return None if taken is None else granted.model_copy(update={"keys": _all_told(taken, grown)})


def _all_told(taken: Mapping[str, Mapping[str, Any]], grown: Mapping[str, int]) -> tuple[HeldKey, ...]:
    return tuple(_told(taken[key], grown.get(key, 0)) for key in sorted(taken))


def _grant(asking: _Asking, kept: Mapping[str, int], keys: Sequence[HeldKey], *, known: bool = False) -> HoldAnswer:
    """Note the hold, and say so."""
    answer = HoldAnswer(granted=True, keys=tuple(keys), life_s=HOLD_LIFE_S, time=timestamp(asking.now))
    _note(asking, kept, answer, known=known)
    return answer


def _told(pool: Mapping[str, Any], granted: int = 0, more: int = 0) -> HeldKey:
    gone = pool["allotted"] + pool["excess"] + pool["used"] + pool["held"] + more
    return HeldKey(key=pool["key"], used=max(0, gone), max=pool["max"], granted=granted)


def _refused(keys: Sequence[HeldKey], now: datetime) -> HoldAnswer:
    return HoldAnswer(granted=False, keys=tuple(keys), time=timestamp(now))


def _lock_hold(connection: Connection, redemption: str) -> dict[str, Any] | None:
    found = connection.execute(_HOLD, {"redemption": redemption}).mappings().one_or_none()
    return dict(found) if found is not None else None


def _json_amounts(text: str) -> dict[str, int]:
    return {str(key): int(amount) for key, amount in json.loads(text).items()} if text else {}


def _row(asking: _Asking, kept: Mapping[str, int], answer: HoldAnswer) -> dict[str, Any]:
    asked = asking.asked
    return {
        "redemption": asked.redemption,
        "terminal": asking.place.terminal,
        "attempt": asked.attempt,
        "state": "open",
        "boot": asked.boot,
        "monotonic_ms": asked.monotonic_ms,
        "life_s": HOLD_LIFE_S,
        "amounts": json.dumps(kept),
        "answer": answer.model_dump_json(),
        "asked_at": asking.now,
    }


def _note(asking: _Asking, kept: Mapping[str, int], answer: HoldAnswer, *, known: bool) -> None:
    row = _row(asking, kept, answer)
    if known:
        asking.connection.execute(update(holds).where(holds.c.redemption == row["redemption"]).values(row))
    else:
        asking.connection.execute(insert(holds).values(row))


def _insert_given_back(connection: Connection, place: Place, redemption: str, attempt: int, now: datetime) -> None:
    row = {
        **dict.fromkeys(("monotonic_ms", "life_s"), 0),
        **dict.fromkeys(("boot", "amounts", "answer"), ""),
        "redemption": redemption,
        "terminal": place.terminal,
        "attempt": attempt,
        "state": "given-back",
        "asked_at": now,
    }
    connection.execute(insert(holds).values(row))


def _free(connection: Connection, dead: Sequence[Mapping[str, Any]], state: str) -> None:
    """What these locked holds kept goes back to its pools."""
    if not dead:
        return
    freed: dict[str, int] = {}
    for hold in dead:
        for key, amount in _json_amounts(hold["amounts"]).items():
            freed[key] = freed.get(key, 0) + amount
    rows.add_to_pools(connection, {key: {"held": -amount} for key, amount in freed.items()})
    ids = sorted(hold["redemption"] for hold in dead)
    connection.execute(update(holds).where(holds.c.redemption.in_(ids)).values(state=state, amounts="", answer=""))
