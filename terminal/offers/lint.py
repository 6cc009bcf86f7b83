"""What a well-formed book can still get wrong: names that lead nowhere, days in the wrong order, empty offers.

Mistakes keep the book from being used and stand here; doubts stand by subject in `lint_days`, `lint_limits`,
`lint_rivals` and `lint_words`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import TypeAlias

from config.errors import Words
from terminal.offers.catalogue import ChoiceAttribute, MoneyAttribute, NumberAttribute, TextAttribute
from terminal.offers.counts import Scope
from terminal.offers.findings import FINDINGS_MAX, Finding, Location, error, nearest, warning
from terminal.offers.lint_days import calendar_ends, dead_vouchers, idle_blackouts, lost_anchors, lost_packs, never_open
from terminal.offers.lint_limits import (
    helpless_prices,
    idle_caps,
    idle_fees,
    idle_limits,
    odd_grants,
    odd_steps,
    reusable_vouchers,
    starved_budgets,
)
from terminal.offers.lint_rivals import campaign_ends, silent_rivals
from terminal.offers.lint_words import untranslated, unused, written_twice
from terminal.offers.model import Book, Offer
from terminal.offers.prepared import SHOWING_ATTRIBUTE, allowed_answers
from terminal.offers.prices import ByCategory, FixedUnit, FlatUpTo, LowestListed
from terminal.offers.proofs import VoucherProof

KNOWN_TOLD = 8  # names told when none is near the one written: enough to jog the memory
SWAPPED = Words("检查年份，或把两个日期对调", "check the year, or swap the two days")
OTHER_NAME = Words("改一个名字，或删去多余的一处", "rename one, or remove what is too much")

Rule: TypeAlias = Callable[[Book, Offer, Location], Iterator[Finding]]


def lint(book: Book) -> tuple[Finding, ...]:
    """All findings in the book's order, mistakes before doubts; at most `FINDINGS_MAX`."""
    found = list(_applied(book, (*_RULES, *_DOUBTS)))
    for rule in _BOOK_DOUBTS:
        found += rule(book)
    return tuple(sorted(found, key=lambda finding: finding.severity != "error")[:FINDINGS_MAX])


def mistakes(book: Book) -> tuple[Finding, ...]:
    """What keeps the book from being used, and nothing else: all that a start has to know."""
    found = (finding for finding in _applied(book, _RULES) if finding.severity == "error")
    return tuple(islice(found, FINDINGS_MAX))


def _applied(book: Book, rules: Iterable[Rule]) -> Iterator[Finding]:
    yield from _merchants(book)
    yield from _attributes(book)
    yield from _twice([offer.id for offer in book.offers], ("offers",), "id")
    for index, offer in enumerate(book.offers):
        for rule in rules:
            yield from rule(book, offer, ("offers", index))


def _unknown(name: str, known: Collection[str], location: Location, zh: str, en: str) -> Iterator[Finding]:
    if name not in known:
        there = ", ".join(sorted(known)[:KNOWN_TOLD]) + (" …" if len(known) > KNOWN_TOLD else "")
        choose = (
            Words(f"可用的有：{there}", f"there are: {there}")
            if there
            else Words(f"先写这个{zh}", f"write the {en} first")
        )
        yield error(location, f"没有这个{zh}：{name}", f"names no known {en}: {name}", nearest(name, known) or choose)


def _twice(names: Iterable[str], location: Location, key: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield error((*location, index, key), f"{name} 重复出现", f"{name} stands here twice", OTHER_NAME)
        seen.add(name)


def _merchants(book: Book) -> Iterator[Finding]:
    yield from _twice([merchant.id for merchant in book.merchants], ("merchants",), "id")
    for index, merchant in enumerate(book.merchants):
        here: Location = ("merchants", index)
        if merchant.agreement.last_day < merchant.agreement.first_day:
            yield error((*here, "agreement", "last_day"), "最后一天早于第一天", "is before the first day", SWAPPED)
        yield from _twice([site.id for site in merchant.sites], (*here, "sites"), "id")


def _attributes(book: Book) -> Iterator[Finding]:
    for name, attribute in book.attributes.items():
        if isinstance(attribute, NumberAttribute) and attribute.max < attribute.min:
            yield error(
                ("attributes", name, "max"),
                f"小于 min（{attribute.min}）",
                f"is below min ({attribute.min})",
                Words("把两个数对调", "swap the two numbers"),
            )


def _where(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    merchants = {merchant.id for merchant in book.merchants}
    sites = {f"{merchant.id}/{site.id}" for merchant in book.merchants for site in merchant.sites}
    for name in offer.where.merchants:
        yield from _unknown(name, merchants, (*here, "where", "merchants"), "商户", "merchant")
    for name in offer.where.sites:
        yield from _unknown(name, sites, (*here, "where", "sites"), "门店", "site")


def _what(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    for name in offer.what.categories:
        yield from _unknown(name, book.categories, (*here, "what", "categories"), "类别", "category")
    for name in offer.what.asks:
        yield from _unknown(name, book.attributes, (*here, "what", "asks"), "属性", "attribute")
    for side, sets in (("any", offer.what.any), ("none", offer.what.none)):
        for name, answers in sets.items():
            place: Location = (*here, "what", side, name)
            attribute = book.attributes.get(name)
            if attribute is None:
                yield from _unknown(name, book.attributes, place, "属性", "attribute")
            elif not isinstance(attribute, ChoiceAttribute):
                yield error(
                    place,
                    "只有 choice 属性可以限定答案",
                    "only an attribute of kind choice has answers to pick from",
                    Words(f'改用 asks = ["{name}"]，或把它改成 choice', f'use asks = ["{name}"], or make it a choice'),
                )
            else:
                for answer in answers:
                    yield from _unknown(answer, attribute.options, place, "选项", "option")
                if not allowed_answers(offer, name, attribute):
                    yield error(
                        place,
                        "排除后没有任何选项可用",
                        "leaves no answer that would be accepted",
                        Words("从 none 中去掉至少一个选项", "take at least one answer out of none"),
                    )


def _when(_book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    when = offer.when
    if when.first_day and when.last_day and when.last_day < when.first_day:
        yield error((*here, "when", "last_day"), "最后一天早于第一天", "is before the first day", SWAPPED)


def _agreements(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    named = {*offer.where.merchants, *(site.partition("/")[0] for site in offer.where.sites)}
    for merchant in book.merchants:
        agreement = merchant.agreement
        end = agreement.ends()
        ended = offer.when.first_day and end is not None and end < offer.when.first_day
        coming = offer.when.last_day and agreement.first_day > offer.when.last_day
        if merchant.id in named and (ended or coming):
            yield warning(
                (*here, "where"),
                f"商户 {merchant.id} 的协议期内没有这项活动",
                f"the agreement of {merchant.id} has no day in common with this offer",
                Words(
                    f"去掉 {merchant.id}，或先续签它的协议（agreement）",
                    f"take {merchant.id} out, or renew its agreement first",
                ),
            )


def _price(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    place: Location = (*here, "price")
    price = offer.price
    if isinstance(price, FlatUpTo) and price.pay_fen >= price.covers_fen:
        yield error(
            (*place, "pay_fen"),
            "不低于所含金额，没有优惠",
            "is not below what it covers: never a benefit",
            Words(f"应低于 covers_fen（{price.covers_fen}）", f"write less than covers_fen ({price.covers_fen})"),
        )
    if isinstance(price, LowestListed):
        attribute = book.attributes.get(price.attribute)
        if attribute is None:
            yield from _unknown(price.attribute, book.attributes, (*place, "attribute"), "属性", "attribute")
        elif not isinstance(attribute, MoneyAttribute):
            yield error(
                (*place, "attribute"),
                "应为 money 属性",
                "must be an attribute of kind money",
                Words(
                    "另写一个 money 属性，用来问最低票价",
                    "write another attribute, of kind money, for the lowest price",
                ),
            )
    if isinstance(price, ByCategory):
        for name in sorted(price.rates.keys() - set(offer.what.categories)):
            yield from _unknown(name, offer.what.categories, (*place, "rates", name), "类别", "category of this offer")
        for name in sorted(set(offer.what.categories) - price.rates.keys()):
            yield error(
                (*place, "rates"),
                f"缺少类别 {name} 的价格",
                f"has no rate for {name}",
                Words(
                    f"补上 {name} 的价格，或从 categories 中去掉它",
                    f"add a rate for {name}, or take it out of categories",
                ),
            )
    if isinstance(price, FixedUnit):
        listed = [book.categories[name].list_fen for name in offer.what.categories if name in book.categories]
        known = [fen for fen in listed if fen is not None]
        if known and len(known) == len(listed) and price.unit_fen >= max(known):
            yield warning(
                (*place, "unit_fen"),
                "不低于原价，没有优惠",
                "is not below the list price: never a benefit",
                Words(f"应低于原价 {max(known)}（单位：分）", f"write less than the list price, {max(known)} fen"),
            )


def _limits(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    yield from _twice([limit.id for limit in offer.limits], (*here, "limits"), "id")
    vouchers = sum(isinstance(proof, VoucherProof) for proof in offer.proof)
    for index, limit in enumerate(offer.limits):
        place: Location = (*here, "limits", index, "per")
        if len(set(limit.per)) < len(limit.per):
            yield error(place, "同一范围写了两次", "names a scope twice", OTHER_NAME)
        if Scope.VOUCHER in limit.per and vouchers != 1:
            yield error(
                place,
                "按券限量，但没有要求出示券",
                "counts per voucher, but the offer asks for no voucher",
                Words('加一项 kind = "voucher" 的 proof', 'add one proof of kind = "voucher"'),
            )
        if Scope.SHOWING in limit.per and not isinstance(book.attributes.get(SHOWING_ATTRIBUTE), TextAttribute):
            yield error(
                place,
                f"按场限量，需要一个 text 属性 {SHOWING_ATTRIBUTE}",
                f"counts per showing: the book needs an attribute {SHOWING_ATTRIBUTE} of kind text",
                Words(
                    f'加上 [attributes.{SHOWING_ATTRIBUTE}]，kind = "text"',
                    f'add [attributes.{SHOWING_ATTRIBUTE}] with kind = "text"',
                ),
            )


def _proofs(_book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    names = [proof.name for proof in offer.proof]
    yield from _twice(names, (*here, "proof"), "name")
    if sum(isinstance(proof, VoucherProof) for proof in offer.proof) > 1:
        yield error(
            (*here, "proof"),
            "一项优惠只能要求一张券",
            "asks for more than one voucher",
            Words("只留一张券，或拆成两项优惠", "keep one of them, or make two offers"),
        )
    yield from _twice([fee.id for fee in offer.fees], (*here, "fees"), "id")
    for index, fee in enumerate(offer.fees):
        if fee.unless_proof is not None:
            yield from _unknown(fee.unless_proof, names, (*here, "fees", index, "unless_proof"), "证明", "proof")


def _earlier_offers(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    known = {other.id for other in book.offers}
    since, takes = offer.when.since, offer.takes
    if since and since.offer:
        yield from _unknown(since.offer, known, (*here, "when", "since", "offer"), "优惠", "offer")
    if takes:
        yield from _unknown(takes.offer, known, (*here, "takes", "offer"), "优惠", "offer")
        pack = book.offer(takes.offer)
        if pack is not None and pack.opens is None:
            yield error(
                (*here, "takes", "offer"),
                f"{takes.offer} 不含次数",
                f"{takes.offer} opens no visits",
                Words(
                    f"给 {takes.offer} 加上 opens，或改成真正的套餐",
                    f"give {takes.offer} its opens, or name the pack itself",
                ),
            )


_RULES: tuple[Rule, ...] = (_where, _what, _when, _agreements, _price, _limits, _proofs, _earlier_offers)
_DOUBTS: tuple[Rule, ...] = (
    never_open,
    calendar_ends,
    idle_blackouts,
    dead_vouchers,
    lost_anchors,
    idle_limits,
    odd_grants,
    reusable_vouchers,
    idle_fees,
    helpless_prices,
    odd_steps,
    idle_caps,
    starved_budgets,
    lost_packs,
    written_twice,
)
_BOOK_DOUBTS: tuple[Callable[[Book], Iterator[Finding]], ...] = (silent_rivals, campaign_ends, unused, untranslated)
