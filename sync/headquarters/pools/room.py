"""Room under all keys of one sale at once, for the usual case that there is some.

One statement makes the rows that are missing, locks all in the order of their keys, looks whether each has room, and
takes it: where everybody wants of the same pool, its row is one terminal's for as short a time as can be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, text

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
_TAKE: Final = {"postgresql": text(_INTO + _POSTGRESQL + _SET), "sqlite": text(_INTO + _SQLITE + _SET)}


def take_room(
    connection: Connection, terms: Mapping[str, KeyTerms], amounts: Mapping[str, int]
) -> dict[str, Mapping[str, Any]] | None:
    """Take each amount under its key, as `allotted` of a `lease` key and as `held` of any other; all or none.

    The pools as they are then, ours until the transaction ends; None, and nothing taken: some key lacks room, or has to
    be looked at.
    """
    if not amounts:
        return {}
    if any(amount > terms[key].max for key, amount in amounts.items()):
        return None
    told = [{**rows.pool_row(terms[key]), **_change(terms[key], amount)} for key, amount in sorted(amounts.items())]
    found = connection.execute(_TAKE[connection.dialect.name], {"rows": json.dumps(told)}).mappings()
    taken: dict[str, Mapping[str, Any]] = {row["key"]: dict(row) for row in found}
    if len(taken) == len(amounts):
        return taken
    back = {key: _change(terms[key], -amounts[key]) for key in taken}
    rows.add_to_pools(connection, back)
    return None


def _change(terms: KeyTerms, amount: int) -> dict[str, int]:
    return {"allotted" if terms.policy is Offline.LEASE else "held": amount}
