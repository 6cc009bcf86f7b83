"""The tables of this room. The roll of members as headquarters keeps it: tokens, never numbers.

`members` is the truth, one row a card. Each change gives the rows that it touches version numbers of their own, counted
up under the one row of `roll_state`; so all versions below the one that a reader finds there are committed, on
PostgreSQL too. `member_history` holds what stood before; `roll_chunks` the file that terminals start from.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, ForeignKey, Index, Integer, LargeBinary, Table, Text

from sync.headquarters.tables import UtcTime, metadata

__all__ = ["metadata"]

_COUNTED = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER keys up

members = Table(
    "members",
    metadata,
    Column("token", LargeBinary, primary_key=True),  # the card's keyed hash, 32 bytes, under the key of `roll_state`
    Column("standing", Text, nullable=False),  # what terminals are told; `unknown`: not on the roll (yet)
    Column("card", Text),  # what the bank, or a person here, says of the card; NULL: the bank has not spoken
    Column("member", Boolean),  # what the union says of its holder; NULL: the union has not spoken
    Column("member_class", Text, nullable=False),
    Column("issued", Date),
    Column("person", LargeBinary),  # the holder's keyed hash, 32 bytes: what is used up goes with it to the next card
    Column("valid_until", Date),  # of a temporary card, that day included
    Column("due_at", UtcTime),  # when the clock acts (activation, end) or, for a suspension, a person must have
    Column("by_person", Boolean, nullable=False),  # a person here took it out of use: no list puts it back
    Column("by_hand", Boolean, nullable=False),  # added here and on no list yet: being on none takes it off nothing
    Column("replaced_by", LargeBinary),  # the token of the card that was issued instead
    Column("since", UtcTime, nullable=False),  # when `standing` began
    Column("by", Text, nullable=False),  # who said so: a person's id, `import 7`, `clock`
    Column("version", BigInteger, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Index(None, "version"),
    Index(None, "person"),
)
# Few cards wait for anything: an index of those alone.
Index(
    None, members.c.due_at, sqlite_where=members.c.due_at.is_not(None), postgresql_where=members.c.due_at.is_not(None)
)

member_history = Table(
    "member_history",
    metadata,
    Column("token", LargeBinary, primary_key=True),
    Column("until", UtcTime, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),  # of the change that ended it
    Column("since", UtcTime, nullable=False),
    Column("standing", Text, nullable=False),
    Column("by", Text, nullable=False),  # who had said so
)

roll_state = Table(
    "roll_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # 1, the only row
    Column("version", BigInteger, nullable=False),  # 0: there is no roll
    Column("key_version", Integer),
    Column("key_fingerprint", Text),
    Column("began_at", UtcTime),  # nothing is known of any card before
    Column("snapshot", Text),  # the newest whole one
    Column("building_until", UtcTime),  # a worker builds a snapshot, and is believed to until then
)

roll_imports = Table(
    "roll_imports",
    metadata,
    Column("id", _COUNTED, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("base_version", BigInteger, nullable=False),  # of the roll that it was compared with
    Column("counts", Text, nullable=False),  # JSON: `staging.Preview`
    Column("confirmed_by", Text),  # who said yes first
    Column("done_at", UtcTime),
)

roll_rejects = Table(
    "roll_rejects",
    metadata,
    Column("import_id", BigInteger, ForeignKey("roll_imports.id"), primary_key=True, autoincrement=False),
    Column("line", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
)

# What the waiting list would change; of one list at a time.
roll_diff = Table(
    "roll_diff",
    metadata,
    Column("token", LargeBinary, primary_key=True),
    Column("number", BigInteger, nullable=False),  # 1, 2, …: becomes the version, counted from the roll's then
    Column("fresh", Boolean, nullable=False),  # a card that was not there
    Column("old_standing", Text, nullable=False),
    Column("standing", Text, nullable=False),
    Column("card", Text),
    Column("member", Boolean),
    Column("member_class", Text, nullable=False),
    Column("issued", Date),
    Column("person", LargeBinary),
    Column("by_hand", Boolean, nullable=False),
)

roll_snapshots = Table(
    "roll_snapshots",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),  # every change up to it is inside
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),  # of the file
    Column("revision", Text, nullable=False),  # of the roll: the SHA-256 of its records
    Column("count", BigInteger, nullable=False),
    Column("built_at", UtcTime, nullable=False),
    Column("whole", Boolean, nullable=False),  # every chunk is there
)

roll_chunks = Table(
    "roll_chunks",
    metadata,
    Column("snapshot", Text, ForeignKey("roll_snapshots.name"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 0
    Column("body", LargeBinary, nullable=False),
)
