from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from config.errors import LANGUAGES, Language
from terminal.serving.locale import SERVING_LOCALE, Catalogue, Locale, language_of, load_catalogue
from terminal.serving.pages import SERVING_TEMPLATES
from tests.fakes.templates import template_keys, template_prefixes

ROOM_KEYS = {"room.name", "room.short"}  # every room gives these for the base template


def test_both_languages_say_the_same_things() -> None:
    assert load_catalogue(SERVING_LOCALE).disagreements() == []


def test_a_disagreement_is_found() -> None:
    catalogue = Catalogue({"zh": {"a": "{x}", "b": ""}, "en": {"a": "{y}", "c": ""}})
    assert catalogue.disagreements() == ["b: only in zh", "c: only in en", "a: places ['x'] and ['y']"]


def test_no_shared_template_asks_for_a_missing_word() -> None:
    known = load_catalogue(SERVING_LOCALE).texts["zh"]
    used = list(template_keys(SERVING_TEMPLATES))
    assert len(used) > 10
    assert [each for each in used if each[1] not in known.keys() | ROOM_KEYS] == []
    for _, prefix in template_prefixes(SERVING_TEMPLATES):
        assert any(key.startswith(prefix) for key in known), prefix


def test_a_missing_word_or_number_is_our_fault_and_loud() -> None:
    words = Locale("zh", {"take": "请收 {amount}"})
    assert words.t("take", amount=words.money(1000)) == "请收 ¥10.00"
    with pytest.raises(KeyError):
        words.t("give")
    with pytest.raises(KeyError):
        words.t("take")


def test_two_rooms_may_not_give_the_same_word(tmp_path: Path) -> None:
    for language in LANGUAGES:
        (tmp_path / f"{language}.toml").write_text('[base]\nhome = "x"\n', encoding="utf-8")
    with pytest.raises(AssertionError, match="repeats"):
        load_catalogue(SERVING_LOCALE, tmp_path)


@pytest.mark.parametrize(
    ("fen", "text"),
    [(0, "¥0.00"), (1, "¥0.01"), (1000, "¥10.00"), (123_456_789, "¥1,234,567.89"), (-150, "−¥1.50"), (-1, "−¥0.01")],
)
def test_money(fen: int, text: str) -> None:
    assert Locale.money(fen) == text


@pytest.mark.parametrize(("language", "text"), [("zh", "2013年1月5日星期六"), ("en", "Sat 5 Jan 2013")])
def test_days(language: Language, text: str) -> None:
    assert Locale(language, {}).day(date(2013, 1, 5)) == text


@pytest.mark.parametrize(("language", "seconds", "text"), [("zh", 150, "2分钟"), ("en", 7200, "2 hours")])
def test_durations(language: Language, seconds: int, text: str) -> None:
    assert Locale(language, {}).duration(seconds) == text


def test_the_clock_on_a_page_is_beijing_time() -> None:
    assert Locale.clock(datetime(2012, 12, 31, 16, 0, 5, tzinfo=UTC)) == "00:00:05"


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ({}, "zh"),
        ({"accept-language": "en"}, "en"),
        ({"accept-language": "de, EN-us;q=0.5"}, "en"),
        ({"accept-language": "de"}, "zh"),
        ({"cookie": "a=b;jingka_language=en"}, "en"),
        ({"cookie": "jingka_language=zh", "accept-language": "en"}, "zh"),
        ({"cookie": "jingka_language=xx; other", "accept-language": "en"}, "en"),
    ],
)
def test_which_language_is_answered(headers: dict[str, str], language: Language) -> None:
    assert language_of(headers, "zh") == language
