"""What an error says to a person, looked at as that person would."""

from __future__ import annotations

import re

from config.errors import JingkaError

_ENGLISH = re.compile(r"[a-z]{3}")  # names of settings and status words aside, nothing in Chinese has it


def assert_spoken(error: JingkaError) -> None:
    """In Chinese without an English word, in English without a Chinese one, and no place left unfilled."""
    zh, en = error.what_text("zh"), error.what_text("en")
    assert not _ENGLISH.search(zh), zh
    assert en.isascii(), en
    assert "?" not in zh + en, f"{zh} / {en}"
