"""The tables of this room. Settlements and the yearly review."""

from __future__ import annotations

from sync.headquarters.tables import metadata

__all__ = ["metadata"]
