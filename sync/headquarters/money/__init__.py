"""Settlements and the yearly review."""
