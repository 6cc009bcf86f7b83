"""Vouchers as headquarters registers them, and their codes: one spelling, a check character, never a card number. Pure.

A code is a stem of capitals and digits and one check character by ISO/IEC 7064, MOD 37,36: every single wrong character
and every swap of neighbours is found before anybody is asked.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

CODE_CHARS_MIN, CODE_CHARS_MAX = 6, 24  # long enough that guessing fails, short enough to type
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RADIX = len(ALPHABET)
GROUP_CHARS = 4  # as a code is printed: LF7K-2MQ8-XN4P
# What people, spreadsheets and input methods put between the groups: blanks, hyphens and dashes, unseen characters.
_BLANKS = re.compile(r"[\s\u00ad\u200b-\u200d\u2010-\u2015\u2060\u2212\ufeff-]")
_CARD_NUMBER = re.compile(r"\d{13}")  # ISO/IEC 7812-1: the shortest in use; a code is kept, a card number never


@dataclass(frozen=True, slots=True)
class VoucherRecord:
    """One voucher. `holder`: the card's or person's token, None for whoever brings it; no merchants: at any."""

    offer: str
    holder: str | None
    last_day: date | None
    merchants: frozenset[str] = frozenset()
    revoked: bool = False


def spelt(typed: str) -> str:
    """A code in its one spelling: capitals, full-width characters made plain, no blanks or hyphens."""
    return _BLANKS.sub("", unicodedata.normalize("NFKC", typed)).upper()


def grouped(code: str) -> str:
    """A spelt code as it is printed, in groups with hyphens between."""
    return "-".join(code[place : place + GROUP_CHARS] for place in range(0, len(code), GROUP_CHARS))


def check_character(stem: str) -> str:
    """The check character of a stem of capitals and digits (ISO/IEC 7064, MOD 37,36). Raises `ValueError` else."""
    check = _RADIX
    for character in stem:
        check = (check + ALPHABET.index(character)) % _RADIX or _RADIX
        check = check * 2 % (_RADIX + 1)
    return ALPHABET[(1 - check) % _RADIX]


def well_formed(code: str) -> bool:
    """Whether a spelt code has the right length and characters, its check character fits, and it is no card number."""
    if not CODE_CHARS_MIN <= len(code) <= CODE_CHARS_MAX or not set(code) <= set(ALPHABET):
        return False
    if _CARD_NUMBER.search(code):
        return False
    return check_character(code[:-1]) == code[-1]
