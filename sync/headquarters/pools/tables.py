"""The tables of this room. Pools, slices, holds and limits across merchants."""

from __future__ import annotations

from sync.headquarters.tables import metadata

__all__ = ["metadata"]
