"""Headquarters' end of the wire: terminals' entries in, redemptions, totals and findings out, pages for people."""
