"""Counter keys, windows, and what is left of a limit."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from terminal.offers.catalogue import Category
from terminal.offers.counts import Count, Limit, Offline, Scope, Window
from terminal.offers.limits import (
    SCOPE_WORDS,
    WINDOW_WORDS,
    LimitClaim,
    best_remaining,
    claim_on,
    next_window,
    room_of,
    scope_values,
    usage_key,
    window_start,
)
from terminal.offers.refusal import Refusal
from terminal.offers.sale import Place
from terminal.offers.values import Wording
from tests.fakes.offers import BOOK, FakeUsage, member

OFFER = BOOK.offers["winter-film"].offer
PLACE = Place("gongren-julebu", "main", "t1")
DAY = date(2013, 1, 31)  # a Thursday
TICKET = Category(name=Wording(zh="电影票", en="film tickets"), unit=Wording(zh="张", en="ticket(s)"))


def limit(
    per: tuple[Scope, ...] = (Scope.CARD,),
    *,
    window: Window = Window.CAMPAIGN,
    count: Count = Count.UNITS,
    maximum: int = 2,
    offline: Offline = Offline.LOCAL,
) -> Limit:
    return Limit(id="some", max=maximum, count=count, per=per, window=window, offline=offline)


def values(voucher: str | None = "V123", showing: str | None = "19:30") -> dict[Scope, str]:
    return scope_values(OFFER, member(), PLACE, voucher, showing)


def test_every_scope_and_window_is_worded() -> None:
    assert set(SCOPE_WORDS) == set(Scope)
    assert set(WINDOW_WORDS) == set(Window)


def test_key_names_offer_limit_sorted_scopes_and_window() -> None:
    both = usage_key(OFFER, limit((Scope.SHOWING, Scope.CARD)), values(), DAY)
    assert both == f"winter-film|some|card=v1:{'A' * 64}|showing=19:30|campaign=winter-2012"
    assert both == usage_key(OFFER, limit((Scope.CARD, Scope.SHOWING)), values(), DAY)


ANYTHING = st.text(st.characters(), min_size=1)  # half characters too: JSON can carry them


@given(ANYTHING, ANYTHING)
@example("\ud800", "\udfff")
def test_no_two_showings_share_a_key(one: str, other: str) -> None:
    per_showing = limit((Scope.SHOWING, Scope.VOUCHER))
    keys = [usage_key(OFFER, per_showing, values("V123", text), DAY) for text in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)
    assert all(key.count("|") == 4 and key.isascii() for key in keys)


@pytest.mark.parametrize(
    ("window", "start", "following"),
    [
        (Window.DAY, "2013-01-31", "2013-02-01"),
        (Window.WEEK, "2013-01-28", "2013-02-04"),
        (Window.MONTH, "2013-01-01", "2013-02-01"),
        (Window.YEAR, "2013-01-01", "2014-01-01"),
        (Window.CAMPAIGN, "winter-2012", None),
        (Window.EVER, "all", None),
        (Window.SALE, "2013-01-31", None),
    ],
)
def test_window_starts_and_starts_again(window: Window, start: str, following: str | None) -> None:
    assert window_start(OFFER, window, DAY) == start
    assert next_window(window, DAY) == (date.fromisoformat(following) if following else None)


def test_december_is_followed_by_january() -> None:
    assert next_window(Window.MONTH, date(2012, 12, 31)) == date(2013, 1, 1)


@given(st.dates(), st.sampled_from(Window))
def test_windows_are_total_over_the_calendar(day: date, window: Window) -> None:
    assert window_start(OFFER, window, day)
    following = next_window(window, day)
    if following:
        assert following > day
        assert window_start(OFFER, window, following) == following.isoformat()


def test_daily_limit_starts_again_the_next_day_and_says_so() -> None:
    daily = limit(window=Window.DAY, maximum=1)
    usage = FakeUsage({usage_key(OFFER, daily, values(), DAY): 1})
    spent = room_of(OFFER, daily, values(), usage, DAY)
    assert spent
    refusal = claim_on(OFFER, spent, 1, TICKET, DAY)
    assert isinstance(refusal, Refusal)
    assert refusal.numbers["frees"] == "2013-02-01"
    assert refusal.text("zh") == "每卡当天最多 1 张：已用 1，还可用 0，这次要 1"
    assert refusal.remedy("zh") == "2013-02-01 起可以再用"
    fresh = room_of(OFFER, daily, values(), usage, date(2013, 2, 1))
    assert fresh
    assert isinstance(claim_on(OFFER, fresh, 1, TICKET, DAY), LimitClaim)


@pytest.mark.parametrize("scope", [Scope.VOUCHER, Scope.SHOWING])
def test_limit_on_something_not_known_yet_has_no_room(scope: Scope) -> None:
    assert room_of(OFFER, limit((scope,)), values(None, None), FakeUsage(), DAY) is None


@pytest.mark.parametrize("one_bill", [limit(window=Window.SALE), limit((Scope.SALE,))])
def test_limit_of_one_bill_remembers_nothing(one_bill: Limit) -> None:
    room = room_of(OFFER, one_bill, values(), FakeUsage(), DAY)
    assert room
    assert claim_on(OFFER, room, 2, TICKET, DAY) is None
    refusal = claim_on(OFFER, room, 3, TICKET, DAY)
    assert isinstance(refusal, Refusal)
    assert str(refusal.code) == "limit-reached"


@pytest.mark.parametrize("offline", [Offline.LEASE, Offline.REFUSE])
def test_granted_limits_need_a_grant(offline: Offline) -> None:
    granted_only = limit((Scope.CAMPAIGN,), maximum=10, offline=offline)
    none = room_of(OFFER, granted_only, values(), FakeUsage(slices={}), DAY)
    some = room_of(OFFER, granted_only, values(), FakeUsage(slices={"winter-film/some": 4}), DAY)
    assert none
    assert some
    assert (none.cap, none.remaining) == (None, 0)
    assert (some.cap, some.remaining) == (4, 4)
    refusal = claim_on(OFFER, none, 1, TICKET, DAY)
    assert isinstance(refusal, Refusal)
    assert str(refusal.code) == "needs-hq"


def test_money_limit_is_read_out_in_yuan() -> None:
    budget = limit((Scope.MERCHANT,), count=Count.FEN, maximum=100_000, window=Window.MONTH)
    room = room_of(OFFER, budget, values(), FakeUsage(), DAY)
    assert room
    refusal = claim_on(OFFER, room, 123_450, TICKET, DAY)
    assert isinstance(refusal, Refusal)
    assert (str(refusal.code), refusal.numbers["asked"]) == ("quota-gone", 123_450)
    assert refusal.text("en") == (
        "this merchant this month: too few left: 1000 yuan, 1234.50 asked for (0 of 1000 used here)"
    )


def test_remaining_is_the_smallest_and_nothing_when_any_limit_is_spent() -> None:
    def room(count: Count, maximum: int, used: int = 0) -> object:
        kept = limit(count=count, maximum=maximum)
        return room_of(OFFER, kept, values(), FakeUsage({usage_key(OFFER, kept, values(), DAY): used}), DAY)

    cases = [
        ([], None),
        ([room(Count.FEN, 5)], None),
        ([room(Count.UNITS, 9), room(Count.UNITS, 4)], 4),
        ([room(Count.UNITS, 9), room(Count.USES, 1)], 9),
        ([room(Count.USES, 3, 1)], 2),
        ([room(Count.UNITS, 9), room(Count.USES, 1, 1)], 0),
        ([room(Count.UNITS, 9), room(Count.FEN, 5, 5)], 0),
        ([room(Count.UNITS, 2, 7)], 0),
    ]
    for rooms, expected in cases:
        assert best_remaining(rooms) == expected  # type: ignore[arg-type]
