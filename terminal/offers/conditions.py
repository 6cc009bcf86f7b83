"""The yes-or-no parts of an offer: who, where, when, what and proof. Each gives every reason against, not the first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import assert_never

from config.errors import Words
from terminal.membership.standing import STANDING_WORDS, Member, MemberClass, Standing
from terminal.offers.catalogue import (
    ChoiceAttribute,
    DateAttribute,
    MoneyAttribute,
    NumberAttribute,
    TextAttribute,
)
from terminal.offers.limits import Usage
from terminal.offers.model import DayKind, OpenWindow, Weekday, When
from terminal.offers.opening import DayFault, Moment, OfferDay, day_faults, last_day_since, next_opening
from terminal.offers.prepared import PreparedOffer
from terminal.offers.pricing import amount_fen
from terminal.offers.proofs import NumberProof, Proof, SeenProof, VoucherProof
from terminal.offers.refusal import Refusal, RefusalCode, joined
from terminal.offers.sale import (
    ANSWER_CHARS_MAX,
    DAY_FIRST,
    DAY_LAST,
    QUANTITY_MAX,
    SALE_LINES_MAX,
    Place,
    Sale,
    SaleLine,
)
from terminal.offers.values import AMOUNT_FEN_MAX
from terminal.offers.voucher import spelt, well_formed

_VOUCHER_CODE = re.compile(r"[A-Z0-9]([A-Z0-9-]{2,22})[A-Z0-9]")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CARD_NUMBER = re.compile(r"\d{13,19}")  # ISO/IEC 7812-1 lengths in use

CLASS_WORDS: Mapping[MemberClass, Words] = {
    MemberClass.ORDINARY: Words("普通会员", "ordinary members"),
    MemberClass.MODEL_WORKER: Words("劳模", "model workers"),
    MemberClass.HARDSHIP: Words("困难职工", "members in hardship"),
}
WEEKDAY_WORDS: Mapping[Weekday, Words] = {
    Weekday.MON: Words("周一", "Mon"),
    Weekday.TUE: Words("周二", "Tue"),
    Weekday.WED: Words("周三", "Wed"),
    Weekday.THU: Words("周四", "Thu"),
    Weekday.FRI: Words("周五", "Fri"),
    Weekday.SAT: Words("周六", "Sat"),
    Weekday.SUN: Words("周日", "Sun"),
}
DAY_KIND_WORDS: Mapping[DayKind, Words] = {
    DayKind.WORKDAY: Words("工作日（含调休上班日）", "workdays (make-up workdays too)"),
    DayKind.DAY_OFF: Words("休息日", "days off"),
    DayKind.PUBLIC_HOLIDAY: Words("法定节假日", "public holidays"),
}


def who_refusals(prepared: PreparedOffer, member: Member) -> Iterator[Refusal]:
    """An active card, one of the classes where the offer names some, a genuine chip where it asks for one."""
    if member.standing is not Standing.ACTIVE:
        words = {"standing": STANDING_WORDS[member.standing]}
        yield Refusal(RefusalCode.NOT_A_MEMBER, {"standing": str(member.standing)}, words)
    classes = prepared.offer.who.classes
    if classes and member.member_class not in classes:
        numbers = {"member_class": str(member.member_class), "wanted": ",".join(classes)}
        yield Refusal(RefusalCode.WRONG_CLASS, numbers, {"classes": joined([CLASS_WORDS[one] for one in classes])})
    if prepared.offer.who.genuine_chip and not member.genuine:
        yield Refusal(RefusalCode.GENUINE_CHIP_REQUIRED)


def where_refusals(prepared: PreparedOffer, place: Place, day: date) -> Iterator[Refusal]:
    """A place the offer names, of a merchant whose agreement is valid on the day."""
    merchant = prepared.merchants.get(place.merchant)
    if not prepared.holds_at(place):
        yield Refusal(RefusalCode.WRONG_STORE, {"offer": prepared.offer.id}, {"name": prepared.offer.name.words})
    if merchant and not merchant.agreement.valid_on(day):
        first, end = merchant.agreement.first_day.isoformat(), merchant.agreement.ends()
        last = Words("", "") if end is None else Words(f"至 {end}", f" to {end}")
        numbers = {"first_day": first} | ({"last_day": end.isoformat()} if end else {})
        yield Refusal(RefusalCode.NO_AGREEMENT, numbers, {"last": last})


def when_refusals(prepared: PreparedOffer, place: Place, moment: Moment, day: OfferDay) -> Iterator[Refusal]:
    """Dates, kinds of day and hours; each reason says when it would be possible, if it ever is."""
    when = prepared.offer.when
    faults = list(day_faults(when, day.day))
    if day.open and not faults:
        return
    merchant = prepared.merchants.get(place.merchant)
    opening = next_opening(when, merchant.agreement if merchant else None, moment)
    coming: dict[str, int | str] = {} if opening is None else {"next_day": opening.day.isoformat()}
    if opening and opening.time:
        coming["next_time"] = f"{opening.time:%H:%M}"
    for fault in faults:
        yield _day_refusal(fault, when, day.day, coming)
    if not day.open:
        hours = joined([hours_words(window) for window in when.windows])
        now = moment.time.strftime("%H:%M")
        yield Refusal(RefusalCode.OUTSIDE_HOURS, {"now": now, "opens": hours.en, **coming}, {"hours": hours})


def _day_refusal(fault: DayFault, when: When, day: date, coming: Mapping[str, int | str]) -> Refusal:
    match fault:
        case DayFault.NOT_STARTED:
            return Refusal(RefusalCode.NOT_STARTED, {"first_day": f"{when.first_day}", **coming})
        case DayFault.ENDED:
            return Refusal(RefusalCode.ENDED, {"last_day": f"{when.last_day}", **coming})
        case DayFault.BLACKOUT:
            return Refusal(RefusalCode.BLACKOUT, {"day": day.isoformat(), **coming})
        case DayFault.CALENDAR_UNKNOWN:
            return Refusal(RefusalCode.CALENDAR_UNKNOWN, {"year": day.year, **coming})
        case DayFault.WRONG_KIND:
            kinds = joined([DAY_KIND_WORDS[kind] for kind in when.days])
            numbers = {"day": day.isoformat(), "wanted": ",".join(when.days), **coming}
            return Refusal(RefusalCode.WRONG_DAY, numbers, {"kinds": kinds})


def since_refusals(prepared: PreparedOffer, member: Member, usage: Usage, day: date) -> Iterator[Refusal]:
    """A window that begins with the member: from the card's issue, or from an earlier redemption."""
    since = prepared.offer.when.since
    if since is None:
        return
    words = {"name": prepared.offer.name.words}
    if since.offer is None:
        anchor = member.issued
        if anchor is None:
            yield Refusal(RefusalCode.ISSUE_DATE_UNKNOWN)
    else:
        anchor = usage.last_redeemed(since.offer, member.person)
        if anchor is None:
            first = prepared.names.get(since.offer, Words(since.offer, since.offer))
            yield Refusal(RefusalCode.NEEDS_FIRST, {"offer": since.offer}, {"first": first})
    if anchor is None:
        return
    last_day = last_day_since(since, anchor)
    if day < anchor:
        yield Refusal(RefusalCode.NOT_STARTED, {"first_day": anchor.isoformat(), "next_day": anchor.isoformat()})
    elif day > last_day:
        numbers = {"first_day": anchor.isoformat(), "last_day": last_day.isoformat()}
        yield Refusal(RefusalCode.PERIOD_OVER, numbers, words)


def hours_words(window: OpenWindow) -> Words:
    """Hours and weekdays of a window."""
    end = window.end or time.min
    span = f"{window.start:%H:%M}-{'24:00' if end == time.min else f'{end:%H:%M}'}"
    tail = Words("（次日）", " (next morning)") if window.over_midnight else Words("", "")
    if not window.weekdays:
        return Words(f"每天 {span}{tail.zh}", f"daily {span}{tail.en}")
    days = joined([WEEKDAY_WORDS[day] for day in window.weekdays])
    return Words(f"{days.zh} {span}{tail.zh}", f"{days.en} {span}{tail.en}")


def spend_refusals(prepared: PreparedOffer, lines: tuple[SaleLine, ...]) -> Iterator[Refusal]:
    """The bill at list price reaches what the offer asks for."""
    least = prepared.offer.what.min_spend_fen
    total = sum(line.quantity * line.list_fen for line in lines)
    if least is not None and total < least:
        numbers = {"min_fen": least, "have_fen": total, "missing_fen": least - total}
        yield Refusal(RefusalCode.BELOW_MINIMUM, numbers)


def bound_refusals(lines: tuple[SaleLine, ...]) -> list[Refusal]:
    """Numbers that no bill has; with any of these there is no amount to speak of."""
    if not 1 <= len(lines) <= SALE_LINES_MAX:
        return [Refusal(RefusalCode.LINES_INVALID, {"lines": len(lines), "max": SALE_LINES_MAX})]
    refusals = []
    for number, line in enumerate(lines, start=1):
        if not 1 <= line.quantity <= QUANTITY_MAX:
            refusals.append(Refusal(RefusalCode.QUANTITY_INVALID, {"line": number, "max": QUANTITY_MAX}))
        if not 0 <= line.list_fen <= AMOUNT_FEN_MAX:
            refusals.append(Refusal(RefusalCode.PRICE_INVALID, {"line": number, "max_fen": AMOUNT_FEN_MAX}))
    return refusals


def what_refusals(prepared: PreparedOffer, lines: tuple[SaleLine, ...]) -> Iterator[Refusal]:
    """Every line of a category of the offer, with every answer the offer reads, none of them excluded."""
    for number, line in enumerate(lines[:SALE_LINES_MAX], start=1):
        if line.category not in prepared.categories:
            categories = joined([category.name.words for category in prepared.categories.values()])
            numbers: dict[str, int | str] = {"line": number, "wanted": ",".join(prepared.categories)}
            yield Refusal(RefusalCode.WRONG_CATEGORY, numbers, {"categories": categories})
            continue  # the questions of another trade would only confuse
        for name in prepared.attributes:
            refusal = _answer_refusal(prepared, name, line.attributes.get(name, ""), number)
            if refusal:
                yield refusal


def _answer_refusal(prepared: PreparedOffer, name: str, answer: str, number: int) -> Refusal | None:
    attribute = prepared.attributes[name]
    numbers: dict[str, int | str] = {"line": number, "attribute": name}
    words = {"label": attribute.label.words}
    if not answer.strip():
        return Refusal(RefusalCode.ATTRIBUTE_MISSING, numbers, words)
    match attribute:
        case ChoiceAttribute(options=options):
            if answer not in options:
                return Refusal(RefusalCode.ATTRIBUTE_INVALID, numbers | {"options": ",".join(options)}, words)
            allowed = [option for option in options if option in prepared.allowed[name]]
            if answer in allowed:
                return None
            words["answer"] = options[answer].words
            if allowed:
                words["allowed"] = joined([options[one].words for one in allowed])
            return Refusal(RefusalCode.EXCLUDED, numbers | {"value": answer, "allowed": ",".join(allowed)}, words)
        case MoneyAttribute():
            valid = amount_fen(answer) is not None
        case NumberAttribute(min=least, max=most):
            valid = _WHOLE_NUMBER.fullmatch(answer) is not None and least <= int(answer) <= most
            numbers |= {"min": least, "max": most}
        case DateAttribute():
            valid = _is_day(answer)
        case TextAttribute():
            valid = _readable(answer) and not looks_like_card_number(answer)
        case _:
            assert_never(attribute)
    return None if valid else Refusal(RefusalCode.ATTRIBUTE_INVALID, numbers, words)


def _is_day(answer: str) -> bool:
    if not _DAY.fullmatch(answer):
        return False
    try:
        return DAY_FIRST <= date.fromisoformat(answer) <= DAY_LAST
    except ValueError:
        return False


def _readable(text: str) -> bool:
    return len(text) <= ANSWER_CHARS_MAX and text.isprintable()


def looks_like_card_number(text: str) -> bool:
    """Whether a text holds digits enough for a card number: it is never kept (DESIGN, "The card number")."""
    return _CARD_NUMBER.search(re.sub(r"[\s-]", "", text)) is not None


def proof_refusals(prepared: PreparedOffer, sale: Sale, member: Member, usage: Usage, day: date) -> Iterator[Refusal]:
    """Every proof that must be brought was, and is what it should be."""
    for proof in prepared.offer.proof:
        numbers = {"proof": proof.name}
        words = {"label": proof.label.words}
        value = sale.proofs.get(proof.name, False)
        if not brought(proof, value):
            if not proof.optional:
                yield Refusal(RefusalCode.PROOF_MISSING, numbers, words)
        elif isinstance(proof, NumberProof):
            if not _readable(str(value)):
                yield Refusal(RefusalCode.PROOF_INVALID, numbers, words)
        elif isinstance(proof, VoucherProof):
            yield from _voucher_refusals(prepared, sale, member, usage, day)


def _voucher_refusals(
    prepared: PreparedOffer, sale: Sale, member: Member, usage: Usage, day: date
) -> Iterator[Refusal]:
    proof = prepared.voucher
    assert proof is not None, "asked only for the offer's voucher"
    numbers: dict[str, int | str] = {"proof": proof.name}
    words = {"label": proof.label.words}
    last_days = [proof.last_day] if proof.last_day else []
    code = voucher_code(prepared, sale)
    if code is None:
        yield Refusal(RefusalCode.VOUCHER_UNKNOWN, numbers, words)
    elif proof.registered and not usage.vouchers_known:
        yield Refusal(RefusalCode.NEEDS_HQ, numbers | {"offer": prepared.offer.id}, {"name": prepared.offer.name.words})
    elif proof.registered:
        record = usage.voucher(code)
        if record is None or record.revoked:
            yield Refusal(RefusalCode.VOUCHER_UNKNOWN, numbers, words)
        else:
            if record.offer != prepared.offer.id:
                yield Refusal(RefusalCode.VOUCHER_OTHER_OFFER, numbers | {"offer": record.offer}, words)
            if record.holder not in (None, member.person, member.token):
                yield Refusal(RefusalCode.VOUCHER_OTHER_CARD, numbers, words)
            if record.merchants and sale.place.merchant not in record.merchants:
                yield Refusal(RefusalCode.VOUCHER_OTHER_MERCHANT, numbers, words)
            last_days += [record.last_day] if record.last_day else []
    if last_days and day > min(last_days):
        yield Refusal(RefusalCode.VOUCHER_EXPIRED, numbers | {"last_day": min(last_days).isoformat()}, words)


def brought(proof: Proof, value: str | bool) -> bool:
    """Whether the cashier said so: `True` for what is only seen, a text for what is typed."""
    if isinstance(proof, SeenProof):
        return value is True
    return isinstance(value, str) and bool(value.strip())


def voucher_code(prepared: PreparedOffer, sale: Sale) -> str | None:
    """The voucher's code in its one spelling (capitals, no blanks); None without a well-formed one."""
    if prepared.voucher is None:
        return None
    typed = sale.proofs.get(prepared.voucher.name)
    if not isinstance(typed, str):
        return None
    if prepared.voucher.registered:
        code = spelt(typed)
        return code if well_formed(code) else None
    code = re.sub(r"\s", "", typed).upper()
    return code if _VOUCHER_CODE.fullmatch(code) and not looks_like_card_number(code) else None
