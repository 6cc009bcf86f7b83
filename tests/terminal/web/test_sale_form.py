from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Words
from terminal.offers.form import Ask
from terminal.offers.overview import OfferView
from terminal.offers.sale import SaleLine
from terminal.web.sale_form import (
    FORM_LINES_MAX,
    Filled,
    day_of,
    draw,
    fen_of,
    integer_of,
    read,
    without_line,
    yuan_text,
)


def view(*asks: Ask, categories: tuple[str, ...] = ("bill",)) -> OfferView:
    return OfferView("o", 1, Words("优惠", "offer"), categories, True, (), None, asks)


QUANTITY = Ask("quantity", "line", "integer", Words("数量", "quantity"), minimum=1, maximum=2, default=1)
PRICE = Ask("list_price", "line", "money", Words("单价", "price"))
SET_PRICE = Ask("list_price", "line", "money", Words("单价", "price"), default=20_000)
DAY = Ask("day", "attributes", "date", Words("预约日", "day booked"))
ROW = Ask("row", "attributes", "integer", Words("排", "row"), minimum=1, maximum=30)
CATEGORY = Ask("category", "line", "choice", Words("项目", "item"), options=(("drugs", Words("药", "drugs")),))
FORMAT = Ask("format", "attributes", "choice", Words("制式", "format"), options=(("2d", Words("2D", "2D")),))
LOWEST = Ask("lowest", "attributes", "money", Words("最低价", "lowest"))
PHOTO = Ask("photo", "proofs", "confirm", Words("照片", "photo"))
CODE = Ask("voucher", "proofs", "text", Words("券号", "voucher"), scanned=True)


@pytest.mark.parametrize(
    ("typed", "fen"),
    [
        ("80", 8000),
        ("80.5", 8050),
        ("80.50", 8050),
        (" ¥ 80 ", 8000),
        ("１２．５", 1250),
        ("￥10", 1000),
        ("0", 0),
        ("", None),
        ("80.505", None),
        ("-1", None),
        ("8e2", None),
        ("1,000", None),
        (".5", None),
        ("123456789", None),
    ],
)
def test_yuan_as_typed(typed: str, fen: int | None) -> None:
    assert fen_of(typed) == fen


@given(st.integers(min_value=0, max_value=99_999_999_99))
def test_an_amount_reads_back_as_it_was_written(fen: int) -> None:
    assert fen_of(yuan_text(fen)) == fen


@given(st.text(max_size=20))
def test_no_text_breaks_the_reading_of_numbers(text: str) -> None:
    assert fen_of(text) is None or fen_of(text) >= 0  # type: ignore[operator]
    assert integer_of(text) is None or integer_of(text) >= 0  # type: ignore[operator]


def test_a_filled_form_is_a_sale() -> None:
    typed = {
        "0.line.quantity": "２",
        "0.line.list_price": "80",
        "0.attributes.format": "2d",
        "0.attributes.lowest": "45.5",
        "proofs.photo": "yes",
        "proofs.voucher": " A7 ",
    }
    filled = read(view(QUANTITY, PRICE, FORMAT, LOWEST, PHOTO, CODE), typed, 1, "zh")
    assert filled.lines == (SaleLine("bill", 2, 8000, {"format": "2d", "lowest": "4550"}),)
    assert filled.proofs == {"photo": True, "voucher": "A7"}
    assert filled.unreadable == ()


def test_numbers_that_cannot_be_read_are_named_once_in_the_persons_language() -> None:
    filled = read(view(QUANTITY, PRICE), {"0.line.quantity": "x", "1.line.quantity": "1"}, 2, "en")
    assert filled.unreadable == ("quantity", "price")


def test_what_was_not_answered_is_left_to_the_rules() -> None:
    typed = {"0.line.quantity": "1", "0.line.list_price": "1", "proofs.photo": "no"}
    filled = read(view(QUANTITY, PRICE, CATEGORY, FORMAT, PHOTO, CODE), typed, 1, "zh")
    assert filled.lines == (SaleLine("", 1, 100, {}),)
    assert filled.proofs == {"photo": False}


def test_a_bill_of_several_lines() -> None:
    typed = {
        f"{line}.line.{name}": value for line in (0, 1) for name, value in (("quantity", "1"), ("list_price", "3"))
    }
    typed |= {"0.line.category": "drugs", "1.line.category": "drugs"}
    form = view(QUANTITY, PRICE, CATEGORY, categories=("drugs", "care"))
    assert [line.category for line in read(form, typed, 2, "zh").lines] == ["drugs", "drugs"]
    assert draw(form, typed, 2, "zh").growable
    assert not draw(view(QUANTITY, PRICE), typed, 2, "zh").growable


@pytest.mark.parametrize(("asked", "drawn"), [(-5, 1), (0, 1), (FORM_LINES_MAX + 1, FORM_LINES_MAX)])
def test_a_form_has_a_line_and_not_too_many(asked: int, drawn: int) -> None:
    several = view(QUANTITY, PRICE, categories=("drugs", "care"))
    form = draw(several, {}, asked, "zh")
    assert len(form.lines) == drawn
    assert form.growable == (drawn < FORM_LINES_MAX)
    assert len(read(several, {}, asked, "zh").lines) == drawn


def test_defaults_stand_in_the_form_and_the_cursor_on_the_first_gap() -> None:
    form = draw(view(QUANTITY, SET_PRICE, FORMAT, PHOTO), {}, 1, "zh")
    assert [field.value for field in form.lines[0]] == ["1", "200", ""]
    assert [field.fixed for field in form.lines[0]] == [False, True, False]
    assert form.first_open == "0.attributes.format"
    typed = {"0.attributes.format": "2d", "proofs.photo": "yes"}
    assert draw(view(QUANTITY, SET_PRICE, FORMAT, PHOTO), typed, 1, "zh").first_open == ""


def test_the_cursor_returns_to_what_may_be_wrong() -> None:
    typed = {"0.line.quantity": "1", "0.attributes.format": "2d", "proofs.photo": "yes", "proofs.voucher": "A7"}
    assert draw(view(SET_PRICE, QUANTITY, FORMAT, PHOTO, CODE), typed, 1, "zh").to_correct == "proofs.voucher"
    assert draw(view(SET_PRICE, QUANTITY, FORMAT, PHOTO), typed, 1, "zh").to_correct == "0.line.quantity"
    assert draw(view(SET_PRICE), {}, 1, "zh").to_correct == ""


def test_a_price_that_everyone_charges_is_not_asked_and_cannot_be_changed() -> None:
    form = view(QUANTITY, SET_PRICE)
    drawn = draw(form, {}, 1, "zh")
    assert (drawn.first_open, drawn.values) == ("", {"0.line.quantity": "1", "0.line.list_price": "200"})
    for typed in ({}, {"0.line.list_price": "1"}):
        filled = read(form, {**typed, "0.line.quantity": "1"}, 1, "zh")
        assert filled == Filled((SaleLine("bill", 1, 20_000, {}),), {}, ())


@pytest.mark.parametrize(
    ("typed", "day"),
    [("2013-02-28", "2013-02-28"), ("２０１３－０２－２８", "2013-02-28"), ("2013-02-30", None), ("28.2.2013", None)],
)
def test_a_day_is_read_as_it_is_written(typed: str, day: str | None) -> None:
    assert day_of(typed) == day
    filled = read(view(QUANTITY, SET_PRICE, DAY), {"0.line.quantity": "1", "0.attributes.day": typed}, 1, "en")
    assert filled.unreadable == (() if day else ("day booked",))
    assert [line.attributes for line in filled.lines] == [{"day": day} if day else {}]


def test_a_day_that_is_not_given_is_left_to_the_rules() -> None:
    filled = read(view(QUANTITY, SET_PRICE, DAY), {"0.line.quantity": "1"}, 1, "en")
    assert (filled.unreadable, filled.lines[0].attributes) == ((), {})


def test_a_whole_number_among_the_answers_is_made_plain() -> None:
    filled = read(view(QUANTITY, SET_PRICE, ROW), {"0.line.quantity": "1", "0.attributes.row": " １２ "}, 1, "en")
    assert filled.lines[0].attributes == {"row": "12"}


@pytest.mark.parametrize(("line", "left"), [(0, ["b", "c"]), (1, ["a", "c"]), (2, ["a", "b"]), (7, ["a", "b", "c"])])
def test_a_line_taken_out_lets_the_others_move_up(line: int, left: list[str]) -> None:
    typed = {"offer": "o", "proofs.photo": "yes"} | {f"{n}.line.category": "abc"[n] for n in range(3)}
    kept = without_line(typed, line)
    assert [kept[f"{n}.line.category"] for n in range(len(left))] == left
    assert (kept["offer"], kept["proofs.photo"], len(kept)) == ("o", "yes", 2 + len(left))
