"""The whole schema: every room's tables on one `MetaData`, and the migration that makes them."""

from __future__ import annotations

from typing import Final

import sync.headquarters.books.tables
import sync.headquarters.money.tables
import sync.headquarters.people.tables
import sync.headquarters.pools.tables
import sync.headquarters.roll.tables
import sync.headquarters.vouchers.tables  # noqa: F401 - importing a room's tables puts them on the metadata
from sync.headquarters.tables import metadata

SCHEMA_REVISION: Final = "0010"  # the migration that makes these tables; a test holds both together

__all__ = ["SCHEMA_REVISION", "metadata"]
