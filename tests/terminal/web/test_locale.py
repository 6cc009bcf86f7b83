from __future__ import annotations

import re

import pytest

from drivers.card import Authenticity, AuthenticityReason, EntryMode
from drivers.reader import ReaderState
from terminal.ledger.project import RedemptionState
from terminal.membership.standing import MemberClass, Standing
from terminal.serving.locale import SERVING_LOCALE, catalogue_keys, load_catalogue
from terminal.serving.people import Role
from terminal.web.app import HERE, NAV
from terminal.web.counter_page import TONES
from tests.fakes.templates import template_keys, template_prefixes

CATALOGUE = load_catalogue(SERVING_LOCALE, HERE / "locale")


def test_the_terminal_says_the_same_in_both_languages() -> None:
    assert CATALOGUE.disagreements() == []


def test_no_template_of_the_terminal_asks_for_a_missing_word() -> None:
    used = list(template_keys(HERE / "templates"))
    assert len(used) > 80
    assert [each for each in used if each[1] not in CATALOGUE.texts["zh"]] == []
    for template, prefix in template_prefixes(HERE / "templates"):
        assert catalogue_keys(CATALOGUE, prefix), (template, prefix)


def test_no_word_is_kept_that_nothing_says() -> None:
    used = {key for _, key in template_keys(HERE / "templates")} | {link.key for link in NAV}
    prefixes = {prefix for _, prefix in template_prefixes(HERE / "templates")} | {"room."}
    own = load_catalogue(HERE / "locale").texts["zh"]
    assert [key for key in own if key not in used and not any(key.startswith(prefix) for prefix in prefixes)] == []


@pytest.mark.parametrize(
    ("prefix", "codes"),
    [
        ("entry.", EntryMode),
        ("class.", MemberClass),
        ("reader.", ReaderState),
        ("reader-hint.", ReaderState),
        ("authenticity.", Authenticity),
        ("authenticity-reason.", AuthenticityReason),
        ("state.", RedemptionState),
        ("sale.", RedemptionState),
        ("role.", Role),
    ],
)
def test_every_code_of_a_closed_list_has_its_word(prefix: str, codes: type) -> None:
    missing = [code for code in codes if prefix + code.value not in CATALOGUE.texts["zh"]]  # type: ignore[attr-defined]
    assert missing == []


def test_every_standing_has_its_tone() -> None:
    assert TONES.keys() == set(Standing)


def test_every_card_that_does_not_count_has_its_next_step() -> None:
    hints = set(catalogue_keys(CATALOGUE, "standing-hint."))
    assert hints == {f"standing-hint.{standing}" for standing in Standing if standing is not Standing.ACTIVE}


def test_no_template_has_script_or_style_inside_it() -> None:
    for path in (HERE / "templates").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|hx-on", text), path.name
