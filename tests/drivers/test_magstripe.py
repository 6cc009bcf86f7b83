"""Track 2: what is a card, what is none, and what the cashier is told; no character of the card stays in an error."""

from __future__ import annotations

import contextlib
import traceback

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stdnum import luhn

from drivers.card import CardError, Expiry, MalformedCard, NotACard, Pan
from drivers.magstripe import TRACK2_CHARACTERS_MAX, StripeUnread, Track2, WrongTrack, lrc, parse_track2, track2_in
from tests.fakes.spoken import assert_spoken

DIGITS = "6210947000000021"
STRIPE = f";{DIGITS}=1808101?"  # a published UnionPay test stripe
CARD = Track2(Pan(DIGITS), Expiry(2018, 8), "101")
LONG = "6212345678900000003"


def test_the_check_character_of_the_published_test_stripe() -> None:
    assert lrc(STRIPE) == "4"


@pytest.mark.parametrize(
    "text",
    [STRIPE, STRIPE + "4", STRIPE[1:-1], STRIPE.encode(), bytearray(STRIPE + "4", "ascii")],
    ids=["sentinels", "with LRC", "bare", "bytes", "bytearray"],
)
def test_a_stripe_is_read_with_and_without_its_trimmings(text: str | bytes) -> None:
    assert parse_track2(text) == CARD


@pytest.mark.parametrize(
    ("text", "card"),
    [
        (f";{LONG}=30122010000000000?", Track2(Pan(LONG), Expiry(2030, 12), "201")),
        (f";{LONG}=00001010000?", Track2(Pan(LONG), None, "101")),
        (f";{LONG}==101000?", Track2(Pan(LONG), None, "101")),
        (f";{LONG}=3012=0000?", Track2(Pan(LONG), Expiry(2030, 12), None)),
        (f";{LONG}=3012101=12:<>?", Track2(Pan(LONG), Expiry(2030, 12), "101")),
        (";4222222222222=3012101?", Track2(Pan("4222222222222"), Expiry(2030, 12), "101")),
    ],
    ids=["19 digits", "expiry 0000", "no expiry", "no service code", "odd discretionary data", "13 digits"],
)
def test_the_forms_that_the_standard_allows_are_read(text: str, card: Track2) -> None:
    assert parse_track2(text) == card


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (";E?", StripeUnread),
        ("E", StripeUnread),
        ("", StripeUnread),
        (";?", StripeUnread),
        (STRIPE[:-1], StripeUnread),
        (STRIPE[1:], StripeUnread),
        (STRIPE + "5", StripeUnread),
        (STRIPE + "44", StripeUnread),
        (STRIPE.replace("2", "x", 1), StripeUnread),
        (STRIPE.encode().replace(b"2", b"\xb2", 1), StripeUnread),
        (f";{DIGITS}=18?", StripeUnread),
        (f";{DIGITS}=1808?", StripeUnread),
        (f"{STRIPE}{STRIPE}"[:40], StripeUnread),
        (DIGITS, StripeUnread),
        (f";{DIGITS}=1813101?", MalformedCard),
        (f";{DIGITS[:-1]}9=1808101?", MalformedCard),
        (f";{DIGITS}=1808101{'0' * 16}?", MalformedCard),
        (";123456=1808101?", NotACard),
        (f";{'1' * 20}=1808101?", NotACard),
        (";621094700000005=1808101?", StripeUnread),
        (";00012345?", NotACard),
        (";99" + "1" * 19 + "=" + "1" * 84 + "?", WrongTrack),
        (f";99{DIGITS}=1560?", WrongTrack),
        ("99" + DIGITS, WrongTrack),
        ("%B6210947000000021^DOE/JOE^1808101?", WrongTrack),
        ("%E?;E?+E?", StripeUnread),
    ],
    ids=[
        "error stripe",
        "error stripe, bare",
        "nothing",
        "empty stripe",
        "end cut off",
        "start cut off",
        "wrong LRC",
        "two LRCs",
        "a letter",
        "a high bit",
        "expiry cut off",
        "service code cut off",
        "two stripes run together",
        "no separator, bare",
        "month 13",
        "check digit",
        "41 characters",
        "6 digits",
        "20 digits",
        "UnionPay with a digit lost",
        "door badge",
        "track 3",
        "track 3, short",
        "track 3, bare",
        "track 1",
        "three error stripes",
    ],
)
def test_what_is_no_track_2_has_its_own_error(text: str | bytes, error: type[CardError]) -> None:
    with pytest.raises(error) as refused:
        parse_track2(text)
    assert type(refused.value) is error
    assert_spoken(refused.value)


def test_track_2_ends_at_its_standard_length() -> None:
    room = TRACK2_CHARACTERS_MAX - len(STRIPE) - 1
    longest = f";{DIGITS}=1808101{'0' * room}?"
    assert parse_track2(longest + lrc(longest)) == CARD
    one_more = f";{DIGITS}=1808101{'0' * (room + 1)}?"
    with pytest.raises(MalformedCard):
        parse_track2(one_more + lrc(one_more))


def test_bare_data_are_refused_where_sentinels_are_required() -> None:
    assert parse_track2(STRIPE, sentinels_required=True) == CARD
    with pytest.raises(StripeUnread):
        parse_track2(STRIPE[1:-1], sentinels_required=True)


def test_a_reader_that_sends_the_wrong_track_is_named_with_the_track() -> None:
    with pytest.raises(WrongTrack) as refused:
        parse_track2("%B6210947000000021^DOE/JOE^1808101?")
    assert "第 1 磁道" in refused.value.what_text("zh")
    assert "track 1 " in refused.value.what_text("en")


@pytest.mark.parametrize(
    "text",
    [
        f";{DIGITS[:-1]}9=1808101?",
        f";{DIGITS}=1813101?",
        f";{DIGITS}=1808101?5",
        f";{DIGITS}=18081",
        f"%B{DIGITS}^DOE/JOE^1808101?",
    ],
    ids=["check digit", "month 13", "wrong LRC", "cut off", "track 1"],
)
def test_an_error_keeps_no_character_of_the_card_even_with_local_variables(text: str) -> None:
    boxed = [text]  # this frame is part of the traceback too: the call empties the box
    del text
    with pytest.raises(CardError) as refused:
        parse_track2(boxed.pop())
    error = refused.value
    assert error.__cause__ is None
    assert error.__context__ is None
    told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "in parse_track2" in told, "the traceback does not reach into the parser"
    told += f"{error} {error!r} {error.details} {error.what_text('zh')}"
    assert DIGITS[:8] not in told


@given(st.one_of(st.text(), st.binary(), st.text("0123456789:;<=>?E%", max_size=45)))
@example(";E?")
@example("=" * 40)
@example(";=?")
@example("\x00")
def test_any_input_gives_a_card_or_a_card_error(text: str | bytes) -> None:
    with contextlib.suppress(CardError):
        assert 13 <= parse_track2(text).pan.length <= 19


@given(
    body=st.text("0123456789", min_size=12, max_size=18).filter(lambda body: not body.startswith("99")),
    year=st.integers(0, 99),
    month=st.integers(1, 12),
    service=st.text("0123456789", min_size=3, max_size=3),
    rest=st.text("0123456789", max_size=8),
    with_lrc=st.booleans(),
)
def test_what_a_card_holds_is_what_is_read(
    body: str, year: int, month: int, service: str, rest: str, with_lrc: bool
) -> None:
    digits = body + luhn.calc_check_digit(body)
    text = f";{digits}={year:02d}{month:02d}{service}{rest}?"
    track2 = parse_track2(text + lrc(text) if with_lrc else text)
    assert track2 == Track2(Pan(digits), Expiry(2000 + year, month), service)


@given(st.integers(0, len(STRIPE)), st.characters(codec="ascii"))
def test_a_changed_character_never_gives_another_card_when_the_check_character_is_sent(
    place: int, character: str
) -> None:
    damaged = list(STRIPE + "4")
    damaged[place] = character
    try:
        track2 = parse_track2("".join(damaged))
    except CardError:
        return
    assert track2 == CARD


TRACK1 = "%B6210947000000021^TEST/CARD^1808101000?"
TRACK3 = f";99{DIGITS}=156156000000000000000000000000000000000000000000000000000000000000000000?"
TRACK3_SHORT = f";99{DIGITS}=15615?"


@pytest.mark.parametrize("check", ["", "4"], ids=["no LRC", "LRC"])
@pytest.mark.parametrize("after", ["", "+" + TRACK3[1:], "!" + TRACK3[1:], TRACK3, TRACK3_SHORT, ";E?", "+E?", "+E?:"])
@pytest.mark.parametrize("before", ["", TRACK1, TRACK1 + ";", TRACK1 + "%", "%E?", "%?"])
def test_track_2_is_picked_out_of_all_tracks_run_together(before: str, after: str, check: str) -> None:
    text = before + STRIPE + check + after
    assert track2_in(text) == STRIPE + check
    assert parse_track2(text) == CARD


def test_a_check_character_that_looks_like_a_start_sentinel_is_no_track() -> None:
    stripe = next(text for text in (f";{DIGITS}=1808101{number}?" for number in range(1000)) if lrc(text) == ";")
    for after in ("", TRACK3, "+" + TRACK3[1:]):
        assert track2_in(stripe + ";" + after) == stripe + ";"
        assert parse_track2(stripe + ";" + after) == CARD


@pytest.mark.parametrize(
    ("text", "track"),
    [(TRACK1, 1), (TRACK1 + "+E?", 1), (TRACK1 + TRACK3, 1), (TRACK3, 3), ("+" + TRACK3[1:], 3), (TRACK3[1:-1], 3)],
    ids=["1", "1 and +3", "1 and ;3", ";3", "+3", "bare 3"],
)
def test_a_swipe_without_track_2_names_the_track_that_came(text: str, track: int) -> None:
    with pytest.raises(WrongTrack) as refused:
        track2_in(text)
    assert refused.value.details["track"] == track


@pytest.mark.parametrize(
    "text",
    [TRACK1 + ";E?", TRACK1 + ";E?" + TRACK3, ";E?;E?", STRIPE + STRIPE, STRIPE + f";{LONG}=3012101?"],
    ids=["track 2 unread", "only track 2 unread", "two unread", "the same card twice", "two cards"],
)
def test_a_swipe_whose_track_2_is_unread_or_unclear_is_to_be_repeated(text: str) -> None:
    with pytest.raises(StripeUnread):
        parse_track2(text)


@given(st.text(alphabet="%;+!#?=0123456789E9:^A", max_size=60))
def test_picking_track_2_always_ends_and_gives_a_part_of_the_text(text: str) -> None:
    with contextlib.suppress(CardError):
        assert track2_in(text) in text
