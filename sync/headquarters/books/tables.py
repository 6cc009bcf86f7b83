"""The tables of this room. Offer books from draft to terminal."""

from __future__ import annotations

from sync.headquarters.tables import metadata

__all__ = ["metadata"]
