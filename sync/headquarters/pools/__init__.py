"""Pools, slices, holds and limits across merchants."""
