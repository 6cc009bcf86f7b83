"""Doubts about days: an offer that is never open, days that never come, a calendar that ends before the offer does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from config.errors import Words
from terminal.offers.catalogue import Agreement
from terminal.offers.findings import Finding, Location, warning
from terminal.offers.model import Book, Offer, OpenWindow, When
from terminal.offers.opening import WEEKDAYS, DayFault, day_faults, kinds_of, last_day_since
from terminal.offers.proofs import VoucherProof

DAYS_LOOKED_MAX = 800  # of an offer without an end: two years hold every kind of day on every weekday
UNNEEDED_DAY = Words("删去这一天，或改正日期", "take this day out, or correct it")
YEARS_LOOKED_MAX = 10  # of an offer that asks for kinds of day; the calendar ends sooner


def never_open(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """No day at all fits its dates, kinds of day, windows and the merchants' agreements; or a window never opens."""
    when = offer.when
    agreements = [agreement for agreement in _agreements(book, offer) if _meets(when, agreement)]
    if not agreements:
        if not offer.where.merchants and not offer.where.sites:
            yield warning(
                (*here, "when"),
                "没有任何商户的协议期与它重合",
                "has no day in common with any merchant's agreement",
                Words("改活动日期，或先续签商户协议", "move the offer's days, or renew an agreement first"),
            )
        return  # where merchants are named, each of them is told of
    if when.first_day and when.last_day and when.last_day < when.first_day:
        return
    days = [day for day in _span(when, agreements) if any(agreement.valid_on(day) for agreement in agreements)]
    fit = [day for day in days if not any(day_faults(when, day))]
    if not fit:
        if not any(fault is DayFault.CALENDAR_UNKNOWN for day in days for fault in day_faults(when, day)):
            yield warning(
                (*here, "when"),
                "没有一天可以办理",
                "is open on no day at all",
                Words("放宽起止日、days 或 blackout", "widen its first and last day, its days, or its blackout"),
            )
        return
    dead = [index for index, window in enumerate(when.windows) if not any(_begins(window, day) for day in fit)]
    if when.windows and len(dead) == len(when.windows):
        yield warning(
            (*here, "when", "windows"),
            "所有时段都不落在可办理的日子",
            "has no window on any day that fits",
            _weekdays_that_fit(fit),
        )
        return
    for index in dead:
        yield warning(
            (*here, "when", "windows", index, "weekdays"),
            "这些星期几不落在可办理的日子",
            "names weekdays that never fall on a day that fits",
            _weekdays_that_fit(fit),
        )


def calendar_ends(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """Kinds of day are asked for in a year for which the State Council's calendar is not known."""
    when = offer.when
    starts = [when.first_day] if when.first_day else [agreement.first_day for agreement in _agreements(book, offer)]
    if not when.days or not starts:
        return
    first = min(starts).year
    last = when.last_day.year if when.last_day else first
    for year in range(first, min(last, first + YEARS_LOOKED_MAX - 1) + 1):
        if kinds_of(date(year, 7, 1)) is None:
            yield warning(
                (*here, "when", "days"),
                f"还没有 {year} 年的节假日安排，届时无法办理",
                f"asks for kinds of day, but the holidays of {year} are not known: it would be refused then",
                Words(
                    f"让活动在 {year} 年之前结束，或等国务院公布后升级程序",
                    f"let it end before {year}, or update the program once they are announced",
                ),
            )
            return


def idle_blackouts(_book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A blackout day outside the offer's own dates, or written twice."""
    when = offer.when
    seen: set[date] = set()
    for day in when.blackout:
        if (when.first_day and day < when.first_day) or (when.last_day and day > when.last_day):
            yield warning(
                (*here, "when", "blackout"),
                f"{day} 不在活动日期内",
                f"names {day}, outside the offer's own days",
                UNNEEDED_DAY,
            )
        if day in seen:
            yield warning((*here, "when", "blackout"), f"{day} 写了两次", f"names {day} twice", UNNEEDED_DAY)
        seen.add(day)


def dead_vouchers(_book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A voucher that is void before the offer begins."""
    first = offer.when.first_day
    for index, proof in enumerate(offer.proof):
        if isinstance(proof, VoucherProof) and proof.last_day and first and proof.last_day < first:
            yield warning(
                (*here, "proof", index, "last_day"),
                f"券在活动开始（{first}）之前就作废了",
                f"voids the voucher before the offer begins on {first}",
                Words(f"改成 {first} 或以后的日期", f"write {first} or a later day"),
            )


def lost_anchors(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A window that begins with another offer which can never, or never in time, be redeemed."""
    since = offer.when.since
    anchor = book.offer(since.offer) if since and since.offer else None
    if since is None or anchor is None:
        return
    place: Location = (*here, "when", "since", "offer")
    if offer.id in _chain(book, offer):
        yield warning(
            place,
            f"{anchor.id} 又要求先办 {offer.id}，永远办不了",
            f"needs itself first, by {anchor.id}",
            Words("让其中一项不再以另一项为前提", "let one of the two need the other no longer"),
        )
        return
    if not _merchant_ids(book, offer) & _merchant_ids(book, anchor):
        yield warning(
            place,
            f"{anchor.id} 不在这项活动的任何商户办理",
            f"begins with {anchor.id}, sold at none of its merchants",
            _same_merchants(anchor),
        )
    last = anchor.when.last_day
    if last and offer.when.first_day and last_day_since(since, last) < offer.when.first_day:
        yield warning(
            place,
            f"最迟 {last} 办理 {anchor.id}，活动开始前期限已过",
            f"would be over before its first day even for who takes {anchor.id} on its last, {last}",
            Words("提前第一天，或延长期限（months、days）", "begin earlier, or give it more months or days"),
        )
    if any(never_open(book, anchor, ())):
        yield warning(
            place,
            f"{anchor.id} 自己就办不了",
            f"begins with {anchor.id}, which is itself never open",
            _mend_first(anchor),
        )


def lost_packs(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """Visits out of a pack that nobody can buy here, or at all."""
    pack = book.offer(offer.takes.offer) if offer.takes else None
    if pack is None or pack.opens is None:
        return  # a mistake, which is told as one
    place: Location = (*here, "takes", "offer")
    if not _merchant_ids(book, offer) & _merchant_ids(book, pack):
        yield warning(
            place,
            f"{pack.id} 不在这项活动的任何商户出售",
            f"takes from {pack.id}, sold at none of its merchants",
            _same_merchants(pack),
        )
    if any(never_open(book, pack, ())):
        yield warning(
            place, f"{pack.id} 自己就办不了", f"takes from {pack.id}, which is itself never open", _mend_first(pack)
        )


def _weekdays_that_fit(days: Sequence[date]) -> Words:
    fit = sorted({day.weekday() for day in days})
    names = ", ".join(str(WEEKDAYS[day]) for day in fit)
    return Words(f"可用的是 {names}", f"these would: {names}")


def _same_merchants(other: Offer) -> Words:
    return Words(f"与 {other.id} 写同样的商户", f"name a merchant where {other.id} is sold")


def _mend_first(other: Offer) -> Words:
    return Words(f"先改好 {other.id}", f"mend {other.id} first")


def _chain(book: Book, offer: Offer) -> set[str]:
    """The offers that must be redeemed before `offer`, one after another."""
    found: set[str] = set()
    since = offer.when.since
    while since and since.offer and since.offer not in found:
        found.add(since.offer)
        earlier = book.offer(since.offer)
        since = earlier.when.since if earlier else None
    return found


def _merchant_ids(book: Book, offer: Offer) -> set[str]:
    named = {*offer.where.merchants, *(site.partition("/")[0] for site in offer.where.sites)}
    return named or {merchant.id for merchant in book.merchants}


def _agreements(book: Book, offer: Offer) -> list[Agreement]:
    ids = _merchant_ids(book, offer)
    return [merchant.agreement for merchant in book.merchants if merchant.id in ids]


def _meets(when: When, agreement: Agreement) -> bool:
    end = agreement.ends()
    too_late = when.last_day is not None and agreement.first_day > when.last_day
    return not too_late and not (when.first_day and end and end < when.first_day)


def _span(when: When, agreements: list[Agreement]) -> Iterator[date]:
    """The days to look at: from the first possible one to the last, at most `DAYS_LOOKED_MAX`."""
    first = max(when.first_day or date.min, min(agreement.first_day for agreement in agreements))
    last = when.last_day or date.max
    for ahead in range(min(DAYS_LOOKED_MAX, last.toordinal() - first.toordinal() + 1)):
        yield first + timedelta(days=ahead)


def _begins(window: OpenWindow, day: date) -> bool:
    return not window.weekdays or WEEKDAYS[day.weekday()] in window.weekdays
