"""The tables of this room. The roll of members as headquarters keeps it."""

from __future__ import annotations

from sync.headquarters.tables import metadata

__all__ = ["metadata"]
