"""Doubts about amounts: limits that can never bite, prices that never help, caps and fees that never apply."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, permutations

from config.errors import Words
from terminal.offers.counts import Count, Limit, Offline, Scope, Window
from terminal.offers.findings import Finding, Location, warning
from terminal.offers.model import Book, Offer
from terminal.offers.prices import ByCategory, FixedUnit, FlatUpTo, Free, NthFree, PayPercent, Tiers
from terminal.offers.proofs import VoucherProof

# What one scope's counter is a part of: a terminal stands in a shop, a shop belongs to a merchant, all to the city.
_WITHIN = {
    Scope.CARD: {Scope.PERSON},  # a member has one card
    Scope.SITE: {Scope.SITE, Scope.MERCHANT},
    Scope.TERMINAL: {Scope.TERMINAL, Scope.SITE, Scope.MERCHANT},
    Scope.CAMPAIGN: set[Scope](),
}
_WRITE_THE_FEE = Words("写明金额（单位：分），或删去这项费用", "write its amount in fen, or take the fee out")
_CHEAPER = Words("写更低的价格", "write a lower price")
_LONGER = {
    Window.SALE: set(Window),
    Window.DAY: set(Window) - {Window.SALE},
    Window.WEEK: {Window.WEEK, Window.CAMPAIGN, Window.EVER},
    Window.MONTH: {Window.MONTH, Window.YEAR, Window.CAMPAIGN, Window.EVER},
    Window.YEAR: {Window.YEAR, Window.CAMPAIGN, Window.EVER},
    Window.CAMPAIGN: {Window.CAMPAIGN, Window.EVER},
    Window.EVER: {Window.EVER},
}


def idle_limits(_book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A limit that another one, over more, makes pointless: a budget smaller than a day's limit."""
    told: set[str] = set()
    for narrow, wide in permutations(offer.limits, 2):
        if narrow.id not in told and wide.max < narrow.max and _contains(wide, narrow):
            told.add(narrow.id)
            yield warning(
                (*here, "limits", offer.limits.index(narrow), "max"),
                f"上限 {narrow.max} 永远达不到：限额 {wide.id} 一共只有 {wide.max}",
                f"allows {narrow.max} and never bites, for the wider limit {wide.id} allows {wide.max} in all",
                Words(
                    f"提高 {wide.id}，或把它降到 {wide.max} 以下",
                    f"raise {wide.id}, or bring it below {wide.max}",
                ),
            )


def _contains(wide: Limit, narrow: Limit) -> bool:
    """Whether all that `narrow` counts is counted by `wide` too, and for at least as long."""
    if wide.count is not narrow.count and (wide.count, narrow.count) != (Count.UNITS, Count.USES):
        return False  # every use is of one unit at least; money has no such bound
    if wide.momentary:
        return narrow.momentary and set(wide.per) <= set(narrow.per)
    if narrow.momentary:
        return True
    return _scopes(wide) <= _scopes(narrow) and wide.window in _LONGER[narrow.window]


def _scopes(limit: Limit) -> set[Scope]:
    return set[Scope]().union(*(_WITHIN.get(scope, {scope}) for scope in limit.per))


def odd_grants(_book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A pool that headquarters shares out, but that is not the city's."""
    for index, limit in enumerate(offer.limits):
        if limit.offline in {Offline.LEASE, Offline.REFUSE} and set(limit.per) != {Scope.CAMPAIGN}:
            yield warning(
                (*here, "limits", index, "offline"),
                f'{limit.offline} 只适合全市名额（per = ["campaign"]）',
                f'is {limit.offline}, which suits a citywide pool (per = ["campaign"])',
                Words('写 offline = "flag"', 'write offline = "flag"'),
            )


def reusable_vouchers(_book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A voucher that may be used again and again."""
    if any(Scope.VOUCHER in limit.per for limit in offer.limits):
        return
    for index, proof in enumerate(offer.proof):
        if isinstance(proof, VoucherProof):
            yield warning(
                (*here, "proof", index),
                "同一张券可以反复使用",
                "lets one voucher be used again and again",
                Words(
                    '加一条限额：per = ["voucher"]，max = 1，window = "ever"',
                    'add a limit with per = ["voucher"], max = 1 and window = "ever"',
                ),
            )


def idle_fees(_book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A fee that nobody pays, because the proof that spares it must be brought anyway."""
    required = {proof.name for proof in offer.proof if not proof.optional}
    for index, fee in enumerate(offer.fees):
        if fee.unless_proof in required:
            yield warning(
                (*here, "fees", index, "unless_proof"),
                f"{fee.unless_proof} 是必须出示的，这项费用永远不收",
                f"names {fee.unless_proof}, which everybody must bring: the fee is never charged",
                Words(
                    f"把 {fee.unless_proof} 写成 optional = true，或删去这项费用",
                    f"make {fee.unless_proof} optional = true, or take the fee out",
                ),
            )
        if fee.amount_fen == 0:
            yield warning((*here, "fees", index, "amount_fen"), "费用为零", "is a fee of nothing", _WRITE_THE_FEE)


def helpless_prices(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A price that is no benefit, for a category or for any bill."""
    price, place = offer.price, (*here, "price")
    if isinstance(price, ByCategory):
        for name, rate in price.rates.items():
            category = book.categories.get(name)
            listed = category.list_fen if category else None
            amount = rate.unit_fen if isinstance(rate, FixedUnit) else None
            if listed is not None and amount is not None and amount >= listed:
                yield warning(
                    (*place, "rates", name),
                    f"不低于原价 {listed}，没有优惠",
                    f"is not below its list price {listed}",
                    _CHEAPER,
                )
            if isinstance(rate, FlatUpTo) and rate.pay_fen >= rate.covers_fen:
                yield warning((*place, "rates", name), "不低于所含金额", "is not below what it covers", _CHEAPER)
    bill = bill_fen_max(book, offer)
    if isinstance(price, FlatUpTo) and bill is not None and price.pay_fen >= bill:
        yield warning(
            (*place, "pay_fen"),
            f"一笔最多 {bill}，没有优惠",
            f"is never a benefit: no bill exceeds {bill}",
            _CHEAPER,
        )
    if _listed_at_nothing(book, offer) and not _begins(book, offer):
        yield warning(
            place,
            "原价为零，没有优惠",
            "is never a benefit: everything it is for costs nothing",
            Words(
                "写上类别的原价 list_fen，或不写由收银员输入", "write the categories' list_fen, or none, to be typed"
            ),
        )


def odd_steps(_book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A step that is no better than the one before it, and a step or an n-th unit that no bill reaches."""
    price, place = offer.price, (*here, "price")
    if isinstance(price, Tiers):
        for index, (before, after) in enumerate(pairwise(price.steps), start=1):
            if after.pay_bp >= before.pay_bp:
                yield warning(
                    (*place, "steps", index, "pay_bp"),
                    f"买得更多却不更便宜：前一档是 {before.pay_bp}",
                    f"makes more no cheaper: the step before it is {before.pay_bp}",
                    Words(
                        f"写低于 {before.pay_bp} 的数，或删去这一档",
                        f"write less than {before.pay_bp}, or take the step out",
                    ),
                )
    most = units_max(offer)
    if most is not None:
        beyond = None
        if isinstance(price, NthFree) and not price.stamped and price.every > most:
            beyond, key = price.every, (*place, "every")
        elif isinstance(price, Tiers) and price.by == "units" and price.steps[-1].from_ > most:
            beyond, key = price.steps[-1].from_, (*place, "steps", len(price.steps) - 1, "from")
        if beyond is not None:
            yield warning(
                key,
                f"一笔最多 {most}，到不了 {beyond}",
                f"is never reached: a bill may hold {most}, not {beyond}",
                Words(f"写 {most} 或更小的数，或提高限额", f"write {most} or less, or raise the limit"),
            )


def _listed_at_nothing(book: Book, offer: Offer) -> bool:
    return all(book.categories[name].list_fen == 0 for name in offer.what.categories if name in book.categories)


def _begins(book: Book, offer: Offer) -> bool:
    """Whether a sale without a saving is worth recording: it opens visits, stamps, or begins another's window."""
    stamped = isinstance(offer.price, NthFree) and offer.price.stamped
    anchors = any(other.when.since and other.when.since.offer == offer.id for other in book.offers)
    return bool(offer.opens) or stamped or anchors


def idle_caps(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A saving cap that no bill reaches, and a minimum spend that no bill can have or that outgrows the flat price."""
    least, most = offer.what.min_spend_fen, bill_fen_max(book, offer)
    if offer.saving_max_fen is not None:
        price = offer.price
        savable = price.covers_fen - price.pay_fen if isinstance(price, FlatUpTo) else most
        if savable is not None and offer.saving_max_fen >= savable:
            yield warning(
                (*here, "saving_max_fen"),
                f"一笔最多优惠 {savable}，封顶不起作用",
                f"never bites: no bill saves more than {savable}",
                Words(f"写低于 {savable} 的数，或删去封顶", f"write less than {savable}, or take the cap out"),
            )
    if least is None:
        return
    if most is not None and least > most:
        yield warning(
            (*here, "what", "min_spend_fen"),
            f"一笔最多 {most}，达不到最低消费",
            f"is never reached: no bill comes to more than {most}",
            Words(f"写 {most} 或更小的数，或提高限额", f"write {most} or less, or raise the limit"),
        )
    if isinstance(offer.price, FlatUpTo) and least > offer.price.covers_fen:
        yield warning(
            (*here, "what", "min_spend_fen"),
            f"高于一口价所含的 {offer.price.covers_fen}",
            f"is above what the flat price covers, {offer.price.covers_fen}",
            Words("降低最低消费，或让一口价包含更多", "ask for less, or let the flat price cover more"),
        )


def starved_budgets(book: Book, offer: Offer, here: Location) -> Iterator[Finding]:
    """A budget of money that is not enough for one unit of the cheapest kind: nothing is ever sold."""
    least = _saving_fen_min(book, offer)
    if least is None:
        return
    for index, limit in enumerate(offer.limits):
        if limit.count is Count.FEN and limit.max < least:
            yield warning(
                (*here, "limits", index, "max"),
                f"一份就要优惠 {least}，这笔预算一份也不够",
                f"is never enough: one unit alone saves {least}",
                Words(
                    f"单位是分：写 {least} 或更大的数，或用 saving_max_fen 封顶",
                    f"it is in fen: write {least} or more, or cap a sale with saving_max_fen",
                ),
            )


def _saving_fen_min(book: Book, offer: Offer) -> int | None:
    """What one unit saves at the least, in fen; None when list prices are open or the price depends on more."""
    price = offer.price
    listed = [book.categories[name].list_fen for name in offer.what.categories if name in book.categories]
    savings = []
    for fen in listed:
        if fen is None:
            return None
        match price:
            case FixedUnit():
                savings.append(fen - price.unit_fen)
            case PayPercent():
                savings.append(fen * (10_000 - price.pay_bp) // 10_000)
            case Free():
                savings.append(fen)
            case _:
                return None
    least = min((saving for saving in savings if saving > 0), default=None)
    if least is None or offer.saving_max_fen is None:
        return least
    return min(least, offer.saving_max_fen)


def units_max(offer: Offer) -> int | None:
    """The most units that one sale may hold by any of the limits; None when no limit counts units."""
    return min((limit.max for limit in offer.limits if limit.count is Count.UNITS), default=None)


def bill_fen_max(book: Book, offer: Offer) -> int | None:
    """What one bill comes to at most at list price, in fen; None when units or list prices are open."""
    units = units_max(offer)
    listed = [book.categories[name].list_fen for name in offer.what.categories if name in book.categories]
    known = [fen for fen in listed if fen is not None]
    if units is None or not known or len(known) < len(offer.what.categories):
        return None
    return units * max(known)
