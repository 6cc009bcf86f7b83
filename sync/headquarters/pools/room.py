"""Room under all keys of one sale at once, for the usual case that there is some.

One statement makes the rows that are missing, locks all in the order of their keys, looks whether each has room, and
takes it. On PostgreSQL it writes down the hold and the terminal's slice as well: where everybody wants of the same
pool, its row is one terminal's for no longer than a commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, TextClause, text

from sync.headquarters.pools import rows
from sync.headquarters.pools.terms import KeyTerms
from terminal.offers.counts import Offline

# A row that another revision of the book has made different is left to whoever looks closer.
_SET: Final = """
    ON CONFLICT (key) DO UPDATE SET
    allotted = pools.allotted + excluded.allotted,
    held = pools.held + excluded.held
    WHERE pools.max - pools.allotted - pools.excess - pools.used - pools.held >= excluded.allotted + excluded.held
    AND (pools.revision > excluded.revision OR (pools.revision = excluded.revision AND pools.max = excluded.max
         AND pools.policy = excluded.policy AND pools.shared = excluded.shared AND pools.ends_on = excluded.ends_on))
    RETURNING key, max, allotted, excess, used, held
"""
_INTO: Final = """
    INSERT INTO pools (key, offer, "limit", policy, max, revision, shared, ends_on, allotted, excess, used, held)
"""
_POSTGRESQL: Final = """
    SELECT key, offer, "limit", policy, max, revision, shared, ends_on, allotted, 0, 0, held
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS told(key text, offer text, "limit" text, policy text, max bigint,
         revision bigint, shared boolean, ends_on text, allotted bigint, held bigint)
    ORDER BY key
"""
_SQLITE: Final = """
    SELECT value->>'key', value->>'offer', value->>'limit', value->>'policy', value->>'max', value->>'revision',
           value->>'shared', value->>'ends_on', value->>'allotted', 0, 0, value->>'held'
    FROM json_each(:rows) WHERE true
"""
_TAKEN: Final = _INTO + _POSTGRESQL + _SET
_HOLD: Final = text(f"""
    WITH taken AS ({_TAKEN}),
    granted AS (SELECT count(*) FROM taken HAVING count(*) = :wanted),
    grown AS (
        INSERT INTO allotments (key, terminal, granted, returned, written_off, used, frozen, excess, recent, recent_at,
                                slice)
        SELECT key, :terminal, granted, 0, 0, 0, 0, 0, 0, :asked_at, 0
        FROM jsonb_to_recordset(CAST(:grown AS jsonb)) AS told(key text, granted bigint)
        WHERE EXISTS (SELECT 1 FROM granted)
        ON CONFLICT (key, terminal) DO UPDATE SET granted = excluded.granted
    ),
    noted AS (
        INSERT INTO holds (redemption, terminal, attempt, state, boot, monotonic_ms, life_s, amounts, answer, asked_at)
        SELECT :redemption, :terminal, :attempt, 'open', :boot, :monotonic_ms, :life_s, :amounts,
            CAST(jsonb_set(CAST(:answer AS jsonb), '{{keys}}', (
                SELECT jsonb_agg(jsonb_build_object('key', taken.key, 'max', taken.max,
                    'used', greatest(0, taken.allotted + taken.excess + taken.used + taken.held),
                    'granted', COALESCE(told.granted, 0)) ORDER BY taken.key)
                FROM taken LEFT JOIN jsonb_to_recordset(CAST(:grown AS jsonb)) AS told(key text, granted bigint)
                    ON told.key = taken.key
            )) AS text), :asked_at
        FROM granted
    )
    SELECT key, max, allotted, excess, used, held FROM taken
""")  # noqa: S608 - put together from the constants above
_TAKE: Final = {"postgresql": text(_TAKEN), "sqlite": text(_INTO + _SQLITE + _SET)}


def take_room(
    connection: Connection, terms: Mapping[str, KeyTerms], amounts: Mapping[str, int]
) -> dict[str, Mapping[str, Any]] | None:
    """Take each amount under its key, as `allotted` of a `lease` key and as `held` of any other; all or none.

    The pools as they are then, ours until the transaction ends; None, and nothing taken: some key lacks room, or has to
    be looked at.
    """
    return _taken(connection, _TAKE[connection.dialect.name], terms, amounts, {}) if amounts else {}


def take_hold(
    connection: Connection,
    terms: Mapping[str, KeyTerms],
    amounts: Mapping[str, int],
    grown: Mapping[str, int],
    hold: Mapping[str, Any],
) -> dict[str, Mapping[str, Any]] | None:
    """As `take_room`, on PostgreSQL, for one amount at least; when it is taken, `hold` is written down with the pools
    in its answer, and the terminal's slices, which are locked, are `grown` to these totals.
    """
    told = [{"key": key, "granted": granted} for key, granted in sorted(grown.items())]
    more = {**hold, "grown": json.dumps(told), "wanted": len(amounts)}
    return _taken(connection, _HOLD, terms, amounts, more)


def _taken(
    connection: Connection,
    statement: TextClause,
    terms: Mapping[str, KeyTerms],
    amounts: Mapping[str, int],
    more: Mapping[str, Any],
) -> dict[str, Mapping[str, Any]] | None:
    if any(amount > terms[key].max for key, amount in amounts.items()):
        return None
    told = [{**rows.pool_row(terms[key]), **_change(terms[key], amount)} for key, amount in sorted(amounts.items())]
    found = connection.execute(statement, {**more, "rows": json.dumps(told)}).mappings()
    taken: dict[str, Mapping[str, Any]] = {row["key"]: dict(row) for row in found}
    if len(taken) == len(amounts):
        return taken
    back = {key: _change(terms[key], -amounts[key]) for key in taken}
    rows.add_to_pools(connection, back)
    return None


def _change(terms: KeyTerms, amount: int) -> dict[str, int]:
    return {"allotted" if terms.policy is Offline.LEASE else "held": amount}
