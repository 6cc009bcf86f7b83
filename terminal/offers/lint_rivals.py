"""Doubts about offers beside each other: two that compete without saying so, one campaign with two ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, time
from itertools import combinations

from config.errors import Words
from terminal.offers.catalogue import ChoiceAttribute
from terminal.offers.findings import FINDINGS_MAX, Finding, warning
from terminal.offers.model import Book, DayKind, Offer, OpenWindow, Weekday, When
from terminal.offers.prepared import allowed_answers

_DAY_MINUTES = 24 * 60
_WEEKDAYS = tuple(Weekday)


def silent_rivals(book: Book) -> Iterator[Finding]:
    """Two offers for the same thing, place and time, of different groups: nobody is told why one of them was taken."""
    places = {offer.id: _places(book, offer) for offer in book.offers}
    by_category: dict[str, list[int]] = {}
    for index, offer in enumerate(book.offers):
        for category in offer.what.categories:
            by_category.setdefault(category, []).append(index)
    told: set[tuple[int, int]] = set()
    for category, indexes in by_category.items():
        for pair in combinations(indexes, 2):
            one, other = (book.offers[index] for index in pair)
            if pair in told or one.group == other.group or not places[one.id] & places[other.id]:
                continue
            if _meet(book, one, other):
                told.add(pair)
                yield warning(
                    ("offers", pair[1]),
                    f"与 {one.id} 同时同地都适用于 {category}，却不在同一组，谁被选中无人说明",
                    f"competes with {one.id} for {category} at the same place and time, in another group",
                    Words(
                        f'写 combines = {{ group = "{one.group}" }}', f'write combines = {{ group = "{one.group}" }}'
                    ),
                )
            if len(told) >= FINDINGS_MAX:
                return


def campaign_ends(book: Book) -> Iterator[Finding]:
    """Offers of one campaign that begin or end on different days."""
    for key, label in (("first_day", "第一天"), ("last_day", "最后一天")):
        first: dict[str, tuple[date, str]] = {}
        for index, offer in enumerate(book.offers):
            day: date | None = getattr(offer.when, key)
            if day is None:
                continue
            known, named = first.setdefault(offer.campaign, (day, offer.id))
            if known != day:
                yield warning(
                    ("offers", index, "when", key),
                    f"同一活动 {offer.campaign} 中 {named} 的{label}是 {known}",
                    f"differs from {named} of the same campaign {offer.campaign}, which has {known}",
                    Words(f"写 {known}，或另起一个 campaign", f"write {known}, or give it a campaign of its own"),
                )


def _places(book: Book, offer: Offer) -> set[str]:
    """Sites as `merchant/site`."""
    named = {*offer.where.merchants, *offer.where.sites}
    return {
        f"{merchant.id}/{site.id}"
        for merchant in book.merchants
        for site in merchant.sites
        if not named or merchant.id in named or f"{merchant.id}/{site.id}" in named
    }


def _meet(book: Book, one: Offer, other: Offer) -> bool:
    """Whether one sale could be under either: members, dates, kinds of day, hours and answers."""
    if one.who.classes and other.who.classes and not set(one.who.classes) & set(other.who.classes):
        return False
    begins = max(one.when.first_day or date.min, other.when.first_day or date.min)
    ends = min(one.when.last_day or date.max, other.when.last_day or date.max)
    if begins > ends or _kinds_apart(one.when, other.when) or not _hours_meet(one.when, other.when):
        return False
    return not any(
        not _answers(one, name, attribute) & _answers(other, name, attribute)
        for name, attribute in _choices(book).items()
    )


def _choices(book: Book) -> Mapping[str, ChoiceAttribute]:
    return {name: one for name, one in book.attributes.items() if isinstance(one, ChoiceAttribute)}


def _answers(offer: Offer, name: str, attribute: ChoiceAttribute) -> frozenset[str]:
    if name not in offer.what.any and name not in offer.what.none:
        return frozenset(attribute.options)
    return allowed_answers(offer, name, attribute)


def _kinds_apart(one: When, other: When) -> bool:
    """Whether one wants workdays only and the other only days off."""
    workday = {DayKind.WORKDAY}
    pairs = ((set(one.days), set(other.days)), (set(other.days), set(one.days)))
    return any(mine == workday and bool(theirs) and DayKind.WORKDAY not in theirs for mine, theirs in pairs)


def _hours_meet(one: When, other: When) -> bool:
    mine, theirs = _spans(one.windows), _spans(other.windows)
    if mine is None or theirs is None:
        return True
    return any(
        day == their_day and start < their_end and their_start < end
        for day, start, end in mine
        for their_day, their_start, their_end in theirs
    )


def _spans(windows: tuple[OpenWindow, ...]) -> set[tuple[int, int, int]] | None:
    """Windows as (weekday, first minute, minute after the last); None: always open."""
    if not windows:
        return None
    spans = set()
    for window in windows:
        start = window.start.hour * 60 + window.start.minute
        end = window.end or time.min
        until = end.hour * 60 + end.minute
        for weekday in window.weekdays or _WEEKDAYS:
            day = _WEEKDAYS.index(weekday)
            spans.add((day, start, until if until > start else _DAY_MINUTES))
            if window.over_midnight:
                spans.add(((day + 1) % 7, 0, until))
    return spans
