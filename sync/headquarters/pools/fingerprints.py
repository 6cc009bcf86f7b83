"""Which fingerprints stand for one key alone: only those are told to terminals.

The database holds every fingerprint once (a unique index on `pools`), so a second key with the same is found in the
statement that brings it, also when two transactions bring both at once: one of them is refused and comes again. From
then on the fingerprint is in `usage_collisions`: terminals take out what they were told under it, nobody is told it
again, and both keys are answered by holds alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import ColumnElement, Connection, exists, select

from sync.headquarters.pools.tables import pools, usage_collisions
from sync.headquarters.storage import insert_or

logger: Final = logging.getLogger(__name__)


def repeated(marks: Mapping[str, int]) -> set[str]:
    """The keys whose fingerprint an earlier one of the same batch has. Pure."""
    first: dict[int, str] = {}
    return {key for key, mark in sorted(marks.items()) if first.setdefault(mark, key) != key}


def note_collisions(connection: Connection, found: Iterable[int], version: int) -> None:
    """These fingerprints stand for two keys each, as of the change `version`. Harmless again."""
    rows = [{"fingerprint": each, "version": version} for each in sorted(set(found))]
    if not rows:
        return
    fresh = insert_or(connection, usage_collisions).on_conflict_do_nothing().returning(usage_collisions.c.fingerprint)
    if connection.execute(fresh, rows).all():
        logger.warning("two usage keys have one fingerprint: both are answered by holds alone")


def alone() -> ColumnElement[bool]:
    """A condition on `pools`: the row's fingerprint is its key's alone."""
    return ~exists().where(usage_collisions.c.fingerprint == pools.c.fingerprint)


def parted_since(connection: Connection, after: int) -> list[int]:
    """The fingerprints that were found to stand for two keys from the change `after` on."""
    query = select(usage_collisions.c.fingerprint).where(usage_collisions.c.version >= after)
    return list(connection.scalars(query))
