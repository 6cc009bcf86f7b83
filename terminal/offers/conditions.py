"""The yes-or-no parts of an offer: who, where, when, what and proof. Each gives every reason against, not the first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import assert_never

from config.errors import Words
from terminal.membership.standing import STANDING_WORDS, Member, MemberClass, Standing
from terminal.offers.model import (
    ChoiceAttribute,
    MoneyAttribute,
    NumberProof,
    OpenWindow,
    Proof,
    SeenProof,
    TextAttribute,
    VoucherProof,
    Weekday,
)
from terminal.offers.prepared import Moment, PreparedOffer
from terminal.offers.pricing import amount_fen
from terminal.offers.refusal import Refusal, RefusalCode, joined
from terminal.offers.sale import Place, Sale, SaleLine
from terminal.offers.values import AMOUNT_FEN_MAX

SALE_LINES_MAX = 50  # of one bill; the longest a counter types by hand
QUANTITY_MAX = 999  # of one line
ANSWER_CHARS_MAX = 64  # of a typed answer or document number
_VOUCHER_CODE = re.compile(r"[A-Z0-9]([A-Z0-9-]{2,22})[A-Z0-9]")
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
_WEEKDAYS = tuple(Weekday)


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


def where_refusals(prepared: PreparedOffer, place: Place, moment: Moment) -> Iterator[Refusal]:
    """A place the offer names, of a merchant whose agreement is valid today."""
    merchant = prepared.merchants.get(place.merchant)
    if not prepared.holds_at(place):
        yield Refusal(RefusalCode.WRONG_STORE, {"offer": prepared.offer.id}, {"name": prepared.offer.name.words})
    if merchant and not merchant.agreement.first_day <= moment.day <= merchant.agreement.last_day:
        first, last = merchant.agreement.first_day.isoformat(), merchant.agreement.last_day.isoformat()
        yield Refusal(RefusalCode.NO_AGREEMENT, {"first_day": first, "last_day": last})


def when_refusals(prepared: PreparedOffer, moment: Moment) -> Iterator[Refusal]:
    """Between the first and the last day, both included; inside a window; not on a blackout day."""
    when = prepared.offer.when
    if when.first_day and moment.day < when.first_day:
        yield Refusal(RefusalCode.NOT_STARTED, {"first_day": when.first_day.isoformat()})
    if when.last_day and moment.day > when.last_day:
        yield Refusal(RefusalCode.ENDED, {"last_day": when.last_day.isoformat()})
    if moment.day in when.blackout:
        yield Refusal(RefusalCode.BLACKOUT, {"day": moment.day.isoformat()})
    if when.windows and not any(_open(window, moment) for window in when.windows):
        hours = joined([_hours(window) for window in when.windows])
        now = moment.time.strftime("%H:%M")
        yield Refusal(RefusalCode.OUTSIDE_HOURS, {"now": now, "opens": hours.en}, {"hours": hours})


def _open(window: OpenWindow, moment: Moment) -> bool:
    today = _WEEKDAYS[moment.day.weekday()]
    return (not window.weekdays or today in window.weekdays) and window.start <= moment.time < window.end


def _hours(window: OpenWindow) -> Words:
    span = f"{window.start:%H:%M}-{window.end:%H:%M}"
    if not window.weekdays:
        return Words(f"每天 {span}", f"daily {span}")
    days = joined([WEEKDAY_WORDS[day] for day in window.weekdays])
    return Words(f"{days.zh} {span}", f"{days.en} {span}")


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
            words |= {"answer": options[answer].words, "allowed": joined([options[one].words for one in allowed])}
            return Refusal(RefusalCode.EXCLUDED, numbers | {"value": answer, "allowed": ",".join(allowed)}, words)
        case MoneyAttribute():
            valid = amount_fen(answer) is not None
        case TextAttribute():
            valid = _readable(answer) and not looks_like_card_number(answer)
        case _:
            assert_never(attribute)
    return None if valid else Refusal(RefusalCode.ATTRIBUTE_INVALID, numbers, words)


def _readable(text: str) -> bool:
    return len(text) <= ANSWER_CHARS_MAX and text.isprintable()


def looks_like_card_number(text: str) -> bool:
    """Whether a text holds digits enough for a card number: it is never kept (DESIGN, "The card number")."""
    return _CARD_NUMBER.search(re.sub(r"[\s-]", "", text)) is not None


def proof_refusals(prepared: PreparedOffer, sale: Sale, moment: Moment) -> Iterator[Refusal]:
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
            if voucher_code(prepared, sale) is None:
                yield Refusal(RefusalCode.VOUCHER_UNKNOWN, numbers, words)
            if proof.last_day and moment.day > proof.last_day:
                yield Refusal(RefusalCode.VOUCHER_EXPIRED, numbers | {"last_day": proof.last_day.isoformat()}, words)


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
    code = re.sub(r"\s", "", typed).upper()
    return code if _VOUCHER_CODE.fullmatch(code) and not looks_like_card_number(code) else None
