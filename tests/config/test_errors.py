"""The error tree: drawn as it is; every class has its own code, words in both languages, and no card number in them."""

from __future__ import annotations

import re
import string
from collections import defaultdict

import pytest

from config.errors import LANGUAGES, JingkaError, Language, Retry, Words
from drivers.card import Pan
from tests.config.error_tree import draw_tree, drawn, error_classes, import_all

DIGITS = "6212345678900000003"
import_all()
CLASSES = list(error_classes())
every_class = pytest.mark.parametrize("error_class", CLASSES, ids=lambda each: each.__name__)


def places(text: str) -> set[str]:
    """The names between braces, with whatever is done to them."""
    fields = string.Formatter().parse(text)
    return {
        f"{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}"
        for _, name, spec, conversion in fields
        if name is not None
    }


def _neutral(place: str, language: Language) -> str:
    """A detail that is itself in two languages comes as `name_zh` and `name_en`."""
    return place.removesuffix(f"_{language}")


def test_the_drawn_tree_is_the_real_one() -> None:
    assert drawn() == draw_tree(), "config/errors.py is out of date: run `python -m tests.config.error_tree`"


def test_the_tree_holds_the_errors_of_every_package() -> None:
    assert {each.__module__.partition(".")[0] for each in CLASSES} == {"config", "drivers", "sync", "terminal"}
    assert len(CLASSES) > 30


@every_class
def test_every_error_has_its_own_code(error_class: type[JingkaError]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", error_class.code)
    assert isinstance(error_class.retry, Retry)


def test_no_two_errors_share_a_code() -> None:
    by_code: dict[str, list[str]] = defaultdict(list)
    for each in CLASSES:
        by_code[each.code].append(each.__qualname__)
    assert {code: names for code, names in by_code.items() if len(names) > 1} == {}


@every_class
@pytest.mark.parametrize("part", ["what", "hint"])
def test_every_error_says_what_happened_and_what_to_do_in_both_languages(
    error_class: type[JingkaError], part: str
) -> None:
    words: Words = getattr(error_class, part)
    assert words.zh.strip()
    assert words.en.strip()
    assert not words.en.endswith((".", "。")), "sentences are joined into others: no full stop"
    assert {_neutral(place, "zh") for place in places(words.zh)} == {
        _neutral(place, "en") for place in places(words.en)
    }
    assert all(place.isidentifier() for place in places(words.zh) | places(words.en)), (
        "a place is a plain name: no attribute, no format"
    )


@every_class
def test_chinese_words_are_chinese(error_class: type[JingkaError]) -> None:
    for words in (error_class.what, error_class.hint):
        bare = re.sub(r"\{[^}]*\}", "", words.zh).strip(" :,;()")
        assert not bare or re.search(r"[\u4e00-\u9fff]", bare)


@every_class
def test_no_error_can_show_a_card_number_that_is_handed_to_it(error_class: type[JingkaError]) -> None:
    pan = Pan(DIGITS)
    named = {place for words in (error_class.what, error_class.hint) for place in places(words.zh) | places(words.en)}
    error = JingkaError.__new__(error_class)
    JingkaError.__init__(error, "read", "card", **dict.fromkeys(named - {"subject"}, pan), card=pan)
    shown = [str(error), repr(error), repr(error.details)]
    shown += [text for language in LANGUAGES for text in (error.what_text(language), error.hint_text(language))]
    assert DIGITS not in "".join(shown)
    assert DIGITS[:-4] not in "".join(shown)


@every_class
def test_a_forgotten_number_does_not_make_a_second_fault(error_class: type[JingkaError]) -> None:
    error = JingkaError.__new__(error_class)
    JingkaError.__init__(error, "read", "card")
    for language in LANGUAGES:
        assert "{" not in error.what_text(language) + error.hint_text(language)
