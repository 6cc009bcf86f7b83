"""The tables of this room: leases and allotments, pools, holds, and who has used what of a personal limit.

A row stands in `pools` for every key that some limit other than a `local` one counts under. Of a key with slices
(`lease`) it says what is out: `allotted` is the sum of its allotments, and `excess` what terminals spent beyond theirs.
Of any other it says what was sold, `used`, and what is promised to single redemptions, `held`.

Locks are taken in one order everywhere: the terminal's row in `leases`, its `allotments`, its `holds`, then `pools` by
key. Another terminal's row in `leases` is touched last, and only when nobody has it. No foreign key points at
`terminals`: its row is locked while a batch comes in, and a hold must not wait for that.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    Table,
    Text,
    true,
)

from sync.headquarters.tables import UtcTime, metadata

leases = Table(
    "leases",
    metadata,
    Column("terminal", Text, primary_key=True),
    Column("generation", BigInteger, nullable=False),  # of the last answer
    Column("confirmed", BigInteger, nullable=False),  # the highest that the terminal has shown to have stored
    Column("boot", Text, nullable=False),
    Column("earlier_boots", Text, nullable=False),  # latest first, separated by blanks: nothing new comes from these
    Column("monotonic_ms", BigInteger, nullable=False),  # of the last report, in `boot`
    Column("sequence", BigInteger, nullable=False),  # the terminal's head as it last reported
    Column("asked", BigInteger, nullable=False),  # grows when there is something to exchange
    Column("life_s", Integer, nullable=False),
    Column("reported_at", UtcTime),  # our clock; None: never
    Column("ends_at", UtcTime),  # our clock: when its last lease is certainly over
    Column("suspended", Text, nullable=False),  # why it may spend nothing until a person decides; empty: it may
)

allotments = Table(
    "allotments",
    metadata,
    Column("key", Text, primary_key=True),
    Column("terminal", Text, primary_key=True),
    Column("granted", BigInteger, nullable=False),  # only grows; ours
    Column("returned", BigInteger, nullable=False),  # only grows; the terminal's, as it reported
    Column("written_off", BigInteger, nullable=False),  # only grows; taken back by a person after the lease's end
    Column("used", BigInteger, nullable=False),  # what its ledger says, as far as it is here
    Column("frozen", BigInteger, nullable=False),  # of the unspent: not to be spent until a person decides
    Column("excess", BigInteger, nullable=False),  # used beyond granted - returned - written off
    Column("recent", Double, nullable=False),  # units sold, each fading with time: the rate
    Column("recent_at", UtcTime, nullable=False),
    Column("slice", BigInteger, nullable=False),  # the unspent that it should have, as last decided
    Index(None, "terminal"),
)

pools = Table(
    "pools",
    metadata,
    Column("key", Text, primary_key=True),
    Column("offer", Text, nullable=False),
    Column("limit", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("max", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),  # of the book that `max` stands in
    Column("shared", Boolean, nullable=False),  # many people empty it: shown on the page
    Column("ends_on", Text, nullable=False),  # the day on which its window is over; empty: never
    Column("allotted", BigInteger, nullable=False),
    Column("excess", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("fingerprint", BigInteger),  # of a personal `flag` key: what terminals know it by, unless another key has it
    Column("version", BigInteger),  # the transaction that changed `used` last
    CheckConstraint("policy IN ('lease', 'flag', 'refuse')", name="policy"),
)
# Many rows are one person's; the page looks only at these few.
Index(
    "ix_pools_shared", pools.c.offer, postgresql_where=pools.c.shared == true(), sqlite_where=pools.c.shared == true()
)
Index("ix_pools_fingerprint", pools.c.fingerprint, unique=True)  # what terminals know one key by is no other's
Index("ix_pools_version", pools.c.version)

spendings = Table(
    "spendings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("terminal", Text, primary_key=True),
    Column("used", BigInteger, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column("redemption", Text, primary_key=True),
    Column("terminal", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("boot", Text, nullable=False),
    Column("monotonic_ms", BigInteger, nullable=False),
    Column("life_s", Integer, nullable=False),
    Column("amounts", Text, nullable=False),  # JSON: what is held, key by key; empty once it is settled
    Column("answer", Text, nullable=False),  # JSON, as first given
    Column("asked_at", UtcTime, nullable=False),
    CheckConstraint("state IN ('open', 'used', 'given-back', 'released')", name="state"),
    Index(None, "terminal", "state"),
)

pool_samples = Table(
    "pool_samples",
    metadata,
    Column("key", Text, primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("max", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("allotted", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
)

usage_horizons = Table(
    "usage_horizons",
    metadata,
    Column("one", Integer, CheckConstraint("one = 1", name="one"), primary_key=True, autoincrement=False),
    Column("horizon", BigInteger, nullable=False),  # every change numbered below it is in
    Column("published_at", UtcTime, nullable=False),
)

# Fingerprints that stand for two keys. They are told to nobody; `version`: the change that brought the second.
usage_collisions = Table(
    "usage_collisions",
    metadata,
    Column("fingerprint", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
)

__all__ = [
    "allotments",
    "holds",
    "leases",
    "metadata",
    "pool_samples",
    "pools",
    "spendings",
    "usage_collisions",
    "usage_horizons",
]
