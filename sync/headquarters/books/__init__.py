"""Offer books from draft to terminal."""
