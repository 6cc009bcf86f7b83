"""What a person decides about units that lie at a terminal and may not be sold there, or nobody hears of any more.

    release_frozen   the terminal may sell them again: it was away and started anew, and all is well
    write_off        they go back to the pool: the terminal can sell them no more

A write-off is safe once the terminal's last lease is over (`ends_at`), or of what is frozen: without a lease it sells
nothing before its next exchange, and then it is told. What it sold before, and has not sent yet, is found as
`after-lease` when it comes; so a terminal that may come back with sales is better waited for.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from sync.headquarters.errors import TerminalMissing
from sync.headquarters.people import audit
from sync.headquarters.pools import rows
from sync.headquarters.pools.errors import LeaseRunning, TerminalInQuarantine
from sync.headquarters.pools.tables import leases
from sync.headquarters.tables import TerminalState, terminals
from terminal.serving.people import Person


def release_frozen(connection: Connection, terminal: str, *, by: Person, now: datetime) -> int:
    """Let the terminal sell what is frozen there; how many units. Lifts its suspension too.

    Raises `TerminalMissing`, and `TerminalInQuarantine` for one whose chain forked: its ledger is not to be trusted.
    """
    state = _state(connection, terminal)
    if state is TerminalState.QUARANTINED:
        raise TerminalInQuarantine("release", terminal)
    lease = rows.lock_lease(connection, terminal)
    held = rows.lock_open_allotments(connection, terminal, now)
    released = sum(each.frozen for each in held.values())
    for each in held.values():
        each.frozen = 0
    rows.write_allotment(connection, terminal, list(held.values()))
    _exchange_soon(connection, terminal, lease["asked"])
    detail = f"{released} {lease['suspended']}".strip()
    audit.note(connection, by, "grants-released", terminal, now=now, detail=detail)
    return released


def write_off(connection: Connection, terminal: str, *, by: Person, now: datetime) -> int:
    """Put what is unspent at the terminal back into the pools; how many units.

    What is frozen always; what is not, once its lease is over: before that, when nothing is frozen, `LeaseRunning`.
    Raises `TerminalMissing`.
    """
    _state(connection, terminal)
    lease = rows.lock_lease(connection, terminal)
    held = rows.lock_open_allotments(connection, terminal, now)
    over = lease["ends_at"] is None or now >= lease["ends_at"]
    if not over and not any(each.frozen for each in held.values()):
        raise LeaseRunning("write off", terminal, ends=lease["ends_at"].isoformat(timespec="minutes"))
    back: dict[str, int] = {}
    for key, each in held.items():
        units = each.frozen + (each.unspent if over else 0)
        if units:
            each.written_off += units
            each.frozen = 0
            back[key] = units
    rows.write_allotment(connection, terminal, list(held.values()))
    rows.lock_pools(connection, back)
    rows.add_to_pools(connection, {key: {"allotted": -units} for key, units in back.items()})
    connection.execute(update(leases).where(leases.c.terminal == terminal).values(asked=lease["asked"] + 1))
    for key, units in sorted(back.items()):
        audit.note(connection, by, "grants-written-off", terminal, now=now, detail=f"{units} {key}")
    return sum(back.values())


def _state(connection: Connection, terminal: str) -> TerminalState:
    found = connection.scalar(select(terminals.c.state).where(terminals.c.id == terminal))
    if found is None:
        raise TerminalMissing("look up", terminal)
    return TerminalState(found)


def _exchange_soon(connection: Connection, terminal: str, asked: int) -> None:
    lifted = {"suspended": "", "asked": asked + 1}
    connection.execute(update(leases).where(leases.c.terminal == terminal).values(lifted))
