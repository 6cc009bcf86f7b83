"""Every refusal has words in both languages, with the same places, that a cashier can read out."""

from __future__ import annotations

import json
import string

import pytest

from config.errors import Words
from terminal.offers.refusal import REFUSAL_WORDS, Refusal, RefusalCode, joined, yuan


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("code", list(RefusalCode))
def test_refusal_is_worded_in_both_languages_with_the_same_places(code: RefusalCode) -> None:
    words = REFUSAL_WORDS[code]
    assert words.zh.strip()
    assert words.en.strip()
    assert places(words.zh) == places(words.en)
    assert not places(words.zh) & {"code", "text"}  # the names that an API answer gives to code and sentence


def test_refusal_reads_money_in_yuan_and_keeps_it_in_fen() -> None:
    refusal = Refusal(RefusalCode.NO_BENEFIT, {"list_fen": 1250})
    assert refusal.text("zh") == "原价 12.50 元不高于优惠价，按原价收，不占用优惠名额"
    assert json.loads(json.dumps(dict(refusal.numbers))) == {"list_fen": 1250}


def test_refusal_words_that_look_like_places_are_only_data() -> None:
    refusal = Refusal(RefusalCode.WRONG_STORE, {}, {"name": Words("{半价", "{0.__class__}")})
    assert refusal.text("zh") == "本店不参加“{半价”"
    assert refusal.text("en") == 'this shop does not take part in "{0.__class__}"'


@pytest.mark.parametrize(
    ("fen", "text"), [(0, "0"), (5, "0.05"), (100, "1"), (1250, "12.50"), (-150, "-1.50"), (100_000_000, "1000000")]
)
def test_yuan_is_written_without_empty_decimals(fen: int, text: str) -> None:
    assert yuan(fen) == text


def test_names_are_joined_the_way_each_language_does() -> None:
    assert joined([Words("甲", "a"), Words("乙", "b")]) == Words("甲、乙", "a, b")
