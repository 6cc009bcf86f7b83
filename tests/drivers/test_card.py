"""The card number shows itself nowhere; check digits, expiries and masks are right."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from drivers.card import (
    PAN_DIGITS_MAX,
    PAN_DIGITS_MIN,
    Authenticity,
    CardRead,
    EntryMode,
    Expiry,
    MalformedCard,
    Pan,
    luhn_valid,
)

DIGITS = "6212345678900000003"
TEST_PANS = (
    "6210947000000021",
    "6212345678901265",
    "6212345678900000003",
    "6231200100000000217",
    "6217790001000000030",
    "6250946000000016",
)


def card_read(digits: str = DIGITS) -> CardRead:
    return CardRead(
        pan=Pan(digits),
        expiry=Expiry(2030, 12),
        entry_mode=EntryMode.STRIPE,
        reader="stripe",
        authenticity=Authenticity.STRIPE,
        service_code="101",
        finished_ns=1,
        read_ms=40.0,
    )


def logged(value: object) -> str:
    stream = io.StringIO()
    logger = logging.Logger("a card passes")  # its own, so that no other handler hears it
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("read %s, %r", value, value, extra={"card": value})
    return stream.getvalue()


def traced_with_locals(value: object) -> str:
    def fail_holding(held: object) -> None:
        raise RuntimeError(f"failed with {held}")

    try:
        fail_holding(value)
    except RuntimeError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    raise AssertionError("unreachable")


SHOWN: dict[str, Callable[[object], str]] = {
    "str": str,
    "repr": repr,
    "format": lambda value: format(value, ">30") if isinstance(value, Pan) else format(value),
    "f-string": lambda value: f"{value} {value!r} {value!s} {value!a}",
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031 - as old loggers do
    "log": logged,
    "json default": lambda value: json.dumps(value, default=str),
    "traceback with locals": traced_with_locals,
    "in a container": lambda value: str([value, {"card": value}, (value,)]),
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN.keys())
@pytest.mark.parametrize("value", [Pan(DIGITS), card_read()], ids=["pan", "read"])
def test_a_card_number_is_masked_however_it_is_shown(value: object, show: Callable[[object], str]) -> None:
    shown = show(value)
    assert "0003" in shown
    assert DIGITS not in shown
    assert DIGITS[:-4] not in shown
    assert DIGITS[:8] not in shown


@pytest.mark.parametrize(
    "smuggle",
    [pickle.dumps, copy.copy, copy.deepcopy, lambda pan: pickle.dumps(pan, protocol=0)],
    ids=["pickle", "copy", "deepcopy", "old pickle"],
)
def test_a_card_number_is_never_pickled_or_copied(smuggle: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="never pickled") as refused:
        smuggle(Pan(DIGITS))
    assert DIGITS not in str(refused.value)


def test_a_card_read_does_not_turn_into_a_dictionary_with_the_number_in_it() -> None:
    with pytest.raises(TypeError, match="never pickled"):
        asdict(card_read())


def test_a_card_number_has_no_public_attribute_that_holds_its_digits() -> None:
    pan = Pan(DIGITS)
    assert not hasattr(pan, "__dict__")
    public = {name: getattr(pan, name) for name in dir(pan) if not name.startswith("_")}
    assert public.keys() == {"masked", "length", "keyed_hash", "begins_between"}
    assert DIGITS[:-4] not in str(public)


@pytest.mark.parametrize(
    "digits",
    [
        "6212345678900000004",
        "123456789012",
        "1" * 20,
        "",
        "62123456789000x0003",
        "６２１２３４５６７８９０００００００３",
    ],
    ids=["check digit", "12 digits", "20 digits", "empty", "a letter", "full-width digits"],
)
def test_what_is_no_card_number_is_refused_without_being_repeated(digits: str) -> None:
    with pytest.raises(MalformedCard) as refused:
        Pan(digits)
    told = f"{refused.value} {refused.value!r} {refused.value.what_text('zh')} {refused.value.details}"
    assert not digits or digits not in told


def test_equal_numbers_are_equal_and_others_are_not() -> None:
    assert Pan(DIGITS) == Pan(DIGITS)
    assert hash(Pan(DIGITS)) == hash(Pan(DIGITS))
    assert Pan(DIGITS) != Pan(TEST_PANS[0])
    assert Pan(DIGITS) != DIGITS


def test_the_keyed_hash_depends_on_key_and_number() -> None:
    one = Pan(DIGITS).keyed_hash(b"k1")
    assert len(one) == 32
    assert one == Pan(DIGITS).keyed_hash(b"k1")
    assert one != Pan(DIGITS).keyed_hash(b"k2")
    assert one != Pan(TEST_PANS[0]).keyed_hash(b"k1")


@pytest.mark.parametrize(
    ("low", "high", "within"),
    [
        ("621234", "621234", True),
        ("621233", "621235", True),
        ("621235", "621299", False),
        ("621000", "621233", False),
        ("62", "62", True),
    ],
)
def test_an_issuer_range_includes_both_its_ends(low: str, high: str, within: bool) -> None:
    assert Pan(DIGITS).begins_between(low, high) is within


@pytest.mark.parametrize("digits", TEST_PANS)
def test_the_test_cards_pass_the_check_digit(digits: str) -> None:
    assert Pan(digits).length == len(digits)
    assert Pan(digits).masked == f"**** {digits[-4:]}"


@given(st.text("0123456789", min_size=1, max_size=PAN_DIGITS_MAX))
def test_the_check_digit_agrees_with_an_independent_library(digits: str) -> None:
    assert luhn_valid(digits) is luhn.is_valid(digits)


@given(st.text("0123456789", min_size=PAN_DIGITS_MIN - 1, max_size=PAN_DIGITS_MAX - 1), st.data())
def test_every_single_wrong_digit_is_noticed(body: str, data: st.DataObject) -> None:
    digits = body + luhn.calc_check_digit(body)
    assert Pan(digits).length == len(digits)
    place = data.draw(st.integers(0, len(digits) - 1))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != digits[place]]))
    with pytest.raises(MalformedCard):
        Pan(digits[:place] + wrong + digits[place + 1 :])


@pytest.mark.parametrize(
    ("yymm", "last_day"),
    [
        ("3012", date(2030, 12, 31)),
        ("2402", date(2024, 2, 29)),
        ("2502", date(2025, 2, 28)),
        ("0001", date(2000, 1, 31)),
        ("9911", date(2099, 11, 30)),
    ],
)
def test_a_card_is_good_through_the_last_day_of_its_month(yymm: str, last_day: date) -> None:
    expiry = Expiry.from_yymm(yymm)
    assert expiry is not None
    assert expiry.last_day == last_day


def test_four_zeros_mean_that_the_card_never_expires() -> None:
    assert Expiry.from_yymm("0000") is None


@pytest.mark.parametrize("yymm", ["3013", "3000", "301", "30122", "3O12", "", "-112", "３０１２"])
def test_what_is_no_month_is_a_faulty_card(yymm: str) -> None:
    with pytest.raises(MalformedCard):
        Expiry.from_yymm(yymm)


def test_expiries_order_by_time() -> None:
    assert Expiry(2029, 12) < Expiry(2030, 1) < Expiry(2030, 2)


@pytest.mark.parametrize("digits", ["6210947000000022", "62109470000000211234"])
def test_a_refused_number_is_gone_from_the_frame_that_refused_it(digits: str) -> None:
    with pytest.raises(MalformedCard) as caught:
        Pan(digits)
    assert digits not in caught.traceback[-1].frame.f_locals.values()
