"""Is the chip genuine? Offline data authentication of EMV Book 2 for UnionPay's cards (PBOC 3.0 parts 7 and 12).

From the scheme's key to the issuer's, from there to the card's, and from there to a signature over a number of ours.
Whole numbers and SHA-1 do all of it; nothing here reads a file but `keys`, and nothing talks to a card but `verify`.
"""
