"""The tables of this room. The register of vouchers as headquarters keeps it: hashes, never a code or a card number.

`vouchers` is the truth, one row a code. Every change takes one number from the one row of `voucher_state`, and leaves
it on each row that it touches and on each offer that these belong to; so a terminal is told what changed since a
number, and only the terminals that sell one of those offers hear that something did.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Date, ForeignKey, Index, Integer, LargeBinary, Table, Text

from sync.headquarters.tables import UtcTime, metadata

__all__ = ["metadata"]

_COUNTED = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only INTEGER keys up

vouchers = Table(
    "vouchers",
    metadata,
    Column("hash", LargeBinary, primary_key=True),  # the code's, 16 bytes, under the key of `voucher_state`
    Column("offer", Text, nullable=False),
    Column("holder", Text),  # the token of the card or person it is for; NULL: for whoever brings it
    Column("last_day", Date),
    Column("merchants", Text, nullable=False),  # ids with `;` between, sorted; empty: good at all
    Column("revoked", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),  # of the change that made it so
    Index(None, "offer", "version"),
)

voucher_state = Table(
    "voucher_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # 1, the only row
    Column("version", BigInteger, nullable=False),  # 0: headquarters keeps no register
    Column("key_version", Integer),
    Column("key_fingerprint", Text),
)

voucher_offers = Table(
    "voucher_offers",
    metadata,
    Column("offer", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),  # of the last change to any of its vouchers
    Column("changed_at", UtcTime, nullable=False),
)

voucher_lists = Table(
    "voucher_lists",
    metadata,
    Column("id", _COUNTED, primary_key=True),
    Column("state", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("by", Text, nullable=False),
    Column("base_version", BigInteger, nullable=False),  # of the register that it was compared with
    Column("counts", Text, nullable=False),  # JSON: `lists.Preview`
    Column("content", LargeBinary),  # what it would change, in the register's own form; NULL: it waits no more
    Column("settled_by", Text),
    Column("done_at", UtcTime),
)

voucher_rejects = Table(
    "voucher_rejects",
    metadata,
    Column("list_id", BigInteger, ForeignKey("voucher_lists.id"), primary_key=True, autoincrement=False),
    Column("line", BigInteger, primary_key=True, autoincrement=False),
    Column("reason", Text, nullable=False),
)
