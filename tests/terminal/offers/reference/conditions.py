"""Who, where, when, what and what proof: each part of the text on offers read out as plain ifs, every reason kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from stdnum.iso7064 import mod_37_36

from terminal.membership.standing import Member, Standing
from terminal.offers.catalogue import (
    Attribute,
    ChoiceAttribute,
    DateAttribute,
    Merchant,
    MoneyAttribute,
    NumberAttribute,
)
from terminal.offers.counts import Scope
from terminal.offers.model import Book, Offer, When
from terminal.offers.prices import LowestListed
from terminal.offers.proofs import NumberProof, Proof, SeenProof, VoucherProof
from terminal.offers.refusal import RefusalCode as Code
from terminal.offers.sale import Place, Sale, SaleLine
from terminal.offers.values import AMOUNT_FEN_MAX
from terminal.offers.voucher import VoucherRecord
from tests.terminal.offers.reference import days, money
from tests.terminal.offers.reference.days import OfferDay
from tests.terminal.offers.reference.history import History

LINES_MAX, QUANTITY_MAX = 50, 999
TYPED_CHARS_MAX = 64
CARD_DIGITS_MIN = 13  # a typed text with as many digits in a row may be a card number
UNREGISTERED_CHARS = range(4, 25)
REGISTERED_CHARS = range(6, 25)
CAPITALS_AND_DIGITS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason against, with the numbers that a page or a test may rely on."""

    code: Code
    numbers: Mapping[str, int | str] = field(default_factory=dict)


Reasons = Iterator[Reason]


def who(offer: Offer, member: Member) -> Reasons:
    if member.standing != Standing.ACTIVE:
        yield Reason(Code.NOT_A_MEMBER)
    if offer.who.classes and member.member_class not in offer.who.classes:
        yield Reason(Code.WRONG_CLASS)
    if offer.who.genuine_chip and not member.genuine:
        yield Reason(Code.GENUINE_CHIP_REQUIRED)


# Where and when -----------------------------------------------------------------------------------------------------


def merchant_of(book: Book, place: Place) -> Merchant | None:
    found = [merchant for merchant in book.merchants if merchant.id == place.merchant]
    return found[0] if found else None


def holds_here(offer: Offer, book: Book, place: Place) -> bool:
    """Whether the offer names this place, of the places that there are."""
    merchant = merchant_of(book, place)
    if merchant is None or place.site not in [site.id for site in merchant.sites]:
        return False
    if not offer.where.merchants and not offer.where.sites:
        return True
    return place.merchant in offer.where.merchants or f"{place.merchant}/{place.site}" in offer.where.sites


def where(offer: Offer, book: Book, place: Place, day: date) -> Reasons:
    if not holds_here(offer, book, place):
        yield Reason(Code.WRONG_STORE, {"offer": offer.id})
    merchant = merchant_of(book, place)
    if merchant is not None and not days.agreement_holds(merchant.agreement, day):
        numbers = {"first_day": merchant.agreement.first_day.isoformat()}
        end = days.agreement_end(merchant.agreement)
        if end is not None:
            numbers["last_day"] = end.isoformat()
        yield Reason(Code.NO_AGREEMENT, numbers)


def when(offer: Offer, book: Book, place: Place, now: datetime, day: OfferDay) -> Reasons:
    """Reasons of day and hours; each says the next moment at which day, hours and agreement fit."""
    against = days.day_reasons(offer.when, day.day)
    if not day.open:
        against.append(Code.OUTSIDE_HOURS)
    if not against:
        return
    merchant = merchant_of(book, place)
    opening = days.next_opening(offer.when, merchant.agreement if merchant else None, now)
    coming: dict[str, int | str] = {}
    if opening is not None:
        coming["next_day"] = opening.date().isoformat()
        if (opening.hour, opening.minute) != (0, 0):
            coming["next_time"] = opening.strftime("%H:%M")
    for code in against:
        yield Reason(code, {**_day_numbers(code, offer.when, day.day), **coming})


def _day_numbers(code: Code, part: When, day: date) -> dict[str, int | str]:
    told: dict[Code, dict[str, int | str]] = {
        Code.NOT_STARTED: {"first_day": f"{part.first_day}"},
        Code.ENDED: {"last_day": f"{part.last_day}"},
        Code.BLACKOUT: {"day": f"{day}"},
        Code.WRONG_DAY: {"day": f"{day}"},
        Code.CALENDAR_UNKNOWN: {"year": day.year},
        Code.OUTSIDE_HOURS: {},
    }
    return told[code]


def since(offer: Offer, member: Member, history: History, day: date) -> Reasons:
    part = offer.when.since
    if part is None:
        return
    if part.event == "card-issued":
        anchor = member.issued
        if anchor is None:
            yield Reason(Code.ISSUE_DATE_UNKNOWN)
            return
    else:
        assert part.offer is not None
        anchor = history.last_redeemed(part.offer, member.person)
        if anchor is None:
            yield Reason(Code.NEEDS_FIRST, {"offer": part.offer})
            return
    last_day = days.since_last_day(part, anchor)
    if day < anchor:
        yield Reason(Code.NOT_STARTED, {"first_day": f"{anchor}", "next_day": f"{anchor}"})
    if day > last_day:
        yield Reason(Code.PERIOD_OVER, {"first_day": f"{anchor}", "last_day": f"{last_day}"})


# What ---------------------------------------------------------------------------------------------------------------


def bounds(lines: tuple[SaleLine, ...]) -> Reasons:
    """Numbers that no bill has."""
    if len(lines) not in range(1, LINES_MAX + 1):
        yield Reason(Code.LINES_INVALID, {"lines": len(lines), "max": LINES_MAX})
        return
    for number, line in enumerate(lines, start=1):
        if line.quantity not in range(1, QUANTITY_MAX + 1):
            yield Reason(Code.QUANTITY_INVALID, {"line": number, "max": QUANTITY_MAX})
        if line.list_fen not in range(AMOUNT_FEN_MAX + 1):
            yield Reason(Code.PRICE_INVALID, {"line": number, "max_fen": AMOUNT_FEN_MAX})


def what(offer: Offer, book: Book, lines: tuple[SaleLine, ...]) -> Reasons:
    for number, line in enumerate(lines[:LINES_MAX], start=1):
        if line.category not in offer.what.categories:
            yield Reason(Code.WRONG_CATEGORY, {"line": number})
            continue
        for name in asked(offer):
            answer = line.attributes.get(name, "")
            code = _answer_reason(offer, name, book.attributes[name], answer)
            if code is not None:
                told: dict[str, int | str] = {"line": number, "attribute": name}
                yield Reason(code, told | {"value": answer} if code is Code.EXCLUDED else told)


def asked(offer: Offer) -> set[str]:
    """The attributes that the offer's conditions, price and limits read, or that it asks besides."""
    names = {*offer.what.any, *offer.what.none, *offer.what.asks}
    if isinstance(offer.price, LowestListed):
        names.add(offer.price.attribute)
    if any(Scope.SHOWING in limit.per for limit in offer.limits):
        names.add("showing")
    return names


def _answer_reason(offer: Offer, name: str, attribute: Attribute, answer: str) -> Code | None:
    if not answer.strip():
        return Code.ATTRIBUTE_MISSING
    match attribute:
        case ChoiceAttribute():
            if answer not in attribute.options:
                return Code.ATTRIBUTE_INVALID
            wanted = name not in offer.what.any or answer in offer.what.any[name]
            unwanted = name in offer.what.none and answer in offer.what.none[name]
            return None if wanted and not unwanted else Code.EXCLUDED
        case MoneyAttribute():
            good = money.typed_fen(answer) is not None
        case NumberAttribute():
            plain = money.typed_fen(answer)
            good = plain is not None and attribute.min <= plain <= attribute.max
        case DateAttribute():
            good = _is_day(answer)
        case _:
            good = _readable(answer) and not _may_be_card_number(answer)
    return None if good else Code.ATTRIBUTE_INVALID


def _is_day(answer: str) -> bool:
    try:
        day = datetime.strptime(answer, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
        return day.isoformat() == answer and 1900 <= day.year < 2200
    except ValueError:
        return False


def _readable(answer: str) -> bool:
    return len(answer) <= TYPED_CHARS_MAX and answer.isprintable()


def _may_be_card_number(answer: str) -> bool:
    run = 0
    for character in answer:
        if character.isdecimal():
            run += 1
        elif not character.isspace() and character != "-":
            run = 0
        if run >= CARD_DIGITS_MIN:
            return True
    return False


def spend(offer: Offer, lines: tuple[SaleLine, ...]) -> Reasons:
    least, have = offer.what.min_spend_fen, sum(money.list_fen(line) for line in lines)
    if least is not None and have < least:
        yield Reason(Code.BELOW_MINIMUM, {"min_fen": least, "have_fen": have, "missing_fen": least - have})


# Proof --------------------------------------------------------------------------------------------------------------


def brought(part: Proof, sale: Sale) -> bool:
    value = sale.proofs.get(part.name)
    if isinstance(part, SeenProof):
        return value is True
    return isinstance(value, str) and value.strip() != ""


def proof(
    offer: Offer, sale: Sale, member: Member, register: Mapping[str, VoucherRecord] | None, today: date
) -> Reasons:
    for part in offer.proof:
        told = {"proof": part.name}
        if not brought(part, sale):
            if not part.optional:
                yield Reason(Code.PROOF_MISSING, told)
        elif isinstance(part, NumberProof):
            if not _readable(str(sale.proofs[part.name])):
                yield Reason(Code.PROOF_INVALID, told)
        elif isinstance(part, VoucherProof):
            yield from _voucher(part, offer, sale, member, register, today)


def _voucher(
    part: VoucherProof,
    offer: Offer,
    sale: Sale,
    member: Member,
    register: Mapping[str, VoucherRecord] | None,
    today: date,
) -> Reasons:
    told = {"proof": part.name}
    code, last_days = voucher_code(offer, sale), [part.last_day]
    if code is None:
        yield Reason(Code.VOUCHER_UNKNOWN, told)
    elif part.registered and register is None:
        yield Reason(Code.NEEDS_HQ, {**told, "offer": offer.id})
    elif part.registered and register is not None:
        record = register.get(code)
        if record is None or record.revoked:
            yield Reason(Code.VOUCHER_UNKNOWN, told)
        else:
            last_days.append(record.last_day)
            if record.offer != offer.id:
                yield Reason(Code.VOUCHER_OTHER_OFFER, {**told, "offer": record.offer})
            if record.holder is not None and record.holder != member.person and record.holder != member.token:
                yield Reason(Code.VOUCHER_OTHER_CARD, told)
            if record.merchants and sale.place.merchant not in record.merchants:
                yield Reason(Code.VOUCHER_OTHER_MERCHANT, told)
    passed = [last for last in last_days if last is not None and today > last]
    if passed:
        yield Reason(Code.VOUCHER_EXPIRED, {**told, "last_day": min(passed).isoformat()})


def voucher_code(offer: Offer, sale: Sale) -> str | None:
    """The code in its one spelling; None when nothing that could be one was typed."""
    for part in offer.proof:
        typed = sale.proofs.get(part.name)
        if isinstance(part, VoucherProof) and isinstance(typed, str):
            return _registered_code(typed) if part.registered else _plain_code(typed)
    return None


def _registered_code(typed: str) -> str | None:
    code = "".join(character for character in typed.upper() if not character.isspace() and character != "-")
    fits = len(code) in REGISTERED_CHARS and set(code) <= CAPITALS_AND_DIGITS
    return code if fits and mod_37_36.is_valid(code) else None


def _plain_code(typed: str) -> str | None:
    code = "".join(character for character in typed.upper() if not character.isspace())
    fits = len(code) in UNREGISTERED_CHARS and set(code) <= CAPITALS_AND_DIGITS | {"-"}
    if not fits or code.startswith("-") or code.endswith("-") or _may_be_card_number(code):
        return None
    return code
