"""An offer as a paragraph in zh and en that a clerk can proof-read against the announcement. Pure.

Every part of the offer is said, in the order of its nine parts; a part that is absent says so only where its absence is
a promise ("no limit").
"""

from __future__ import annotations

from collections.abc import Iterator

from config.errors import Words
from terminal.offers.catalogue import Agreement, ChoiceAttribute
from terminal.offers.conditions import CLASS_WORDS, DAY_KIND_WORDS, hours_words
from terminal.offers.counts import Limit, Offline, Scope, Window
from terminal.offers.limits import COUNT_WORDS, SCOPE_WORDS, WINDOW_WORDS
from terminal.offers.model import Book, Offer, Since
from terminal.offers.prices import (
    ByCategory,
    FixedUnit,
    FlatUpTo,
    Free,
    LowestListed,
    NthFree,
    PayPercent,
    Price,
    Rate,
    Tiers,
)
from terminal.offers.proofs import NumberProof, Proof, VoucherProof
from terminal.offers.refusal import joined, yuan

OFFLINE_WORDS: dict[Offline, Words] = {
    Offline.LOCAL: Words("以本机记录为准", "by this terminal's own count"),
    Offline.LEASE: Words("只用总部分配给本机的名额", "only out of the share that headquarters granted this terminal"),
    Offline.FLAG: Words(
        "断网时照常办理，超出的由总部核查", "goes on while the line is down; headquarters looks into any excess"
    ),
    Offline.REFUSE: Words("须联网由总部逐笔放行", "only with headquarters' word for each"),
}

# A limit in force says "this shop" and "today"; a paragraph about all shops and days says "each".
EACH_SCOPE_WORDS: dict[Scope, Words] = {
    **SCOPE_WORDS,
    Scope.SITE: Words("每店", "per shop"),
    Scope.MERCHANT: Words("每商户", "per merchant"),
    Scope.TERMINAL: Words("每台终端", "per terminal"),
}
EACH_WINDOW_WORDS: dict[Window, Words] = {
    **WINDOW_WORDS,
    Window.DAY: Words("每天", " each day:"),
    Window.WEEK: Words("每周", " each week:"),
    Window.MONTH: Words("每月", " each month:"),
    Window.YEAR: Words("每年", " each year:"),
}


def explain(book: Book, offer: Offer) -> Words:
    """The whole offer as one paragraph in each language."""
    clauses = list(_clauses(book, offer))
    zh = "；".join(clause.zh for clause in clauses)
    en = "; ".join(clause.en for clause in clauses)
    return Words(
        f"“{offer.name.zh}”（{offer.id}，属 {offer.campaign} 活动）：{zh}。",
        f'"{offer.name.en}" ({offer.id}, of the campaign {offer.campaign}): {en}.',
    )


def agreement_words(agreement: Agreement) -> Words:
    """From when to when an agreement is valid, and how it goes on."""
    zh = f"协议自 {agreement.first_day} 至 {agreement.last_day}"
    en = f"agreement from {agreement.first_day} to {agreement.last_day}"
    if agreement.renewal is None:
        return Words(f"{zh}，到期终止", f"{en}, ending then")
    days, objected = agreement.renewal.notice_days, agreement.renewal.objected_on
    if objected is None:
        return Words(
            f"{zh}，如无一方提前 {days} 天书面提出异议则自动续签一年",
            f"{en}, renewed for a year each time unless a side objects in writing {days} days before",
        )
    end = agreement.ends()
    return Words(
        f"{zh}，可自动续签；{objected} 有异议，{end} 终止",
        f"{en}, renewed by itself until the objection of {objected} ends it on {end}",
    )


def _clauses(book: Book, offer: Offer) -> Iterator[Words]:
    yield _who(offer)
    yield _where(book, offer)
    yield from _what(book, offer)
    yield from _when(book, offer)
    yield from _price(book, offer)
    yield from _limits(book, offer)
    yield from _proofs(offer)
    yield from _combines(book, offer)


def _who(offer: Offer) -> Words:
    who = Words("凡持有效京卡的会员", "every member with an active card")
    if offer.who.classes:
        classes = joined([CLASS_WORDS[one] for one in offer.who.classes])
        who = Words(f"限持有效京卡的{classes.zh}", f"only {classes.en} with an active card")
    if offer.who.genuine_chip:
        return Words(f"{who.zh}，芯片须通过真伪验证", f"{who.en}, whose chip has proved genuine")
    return who


def _where(book: Book, offer: Offer) -> Words:
    names = {merchant.id: merchant.name.words for merchant in book.merchants}
    sites = {f"{merchant.id}/{site.id}": site.name.words for merchant in book.merchants for site in merchant.sites}
    places = [names.get(one, Words(one, one)) for one in offer.where.merchants]
    places += [sites.get(one, Words(one, one)) for one in offer.where.sites]
    if not places:
        return Words("在所有特约商户", "at every partner merchant")
    listed, shops = joined(places), len(_places(book, offer))
    return Words(f"在{listed.zh}（共 {shops} 处）", f"at {listed.en} ({shops} shop(s) in all)")


def _what(book: Book, offer: Offer) -> Iterator[Words]:
    names = joined([book.categories[one].name.words for one in offer.what.categories])
    yield Words(f"办理{names.zh}", f"for {names.en}")
    for answers, zh, en in ((offer.what.any, "只限", "only"), (offer.what.none, "不含", "not")):
        for name, options in answers.items():
            attribute = book.attributes[name]
            known = attribute.options if isinstance(attribute, ChoiceAttribute) else {}
            words = joined([known[one].words if one in known else Words(one, one) for one in options])
            label = attribute.label.words
            yield Words(f"{label.zh}{zh}{words.zh}", f"{label.en}: {en} {words.en}")
    if offer.what.asks:
        asked = joined([book.attributes[name].label.words for name in offer.what.asks])
        yield Words(f"每项登记{asked.zh}", f"each line with its {asked.en}")
    if offer.what.min_spend_fen is not None:
        least = yuan(offer.what.min_spend_fen)
        yield Words(f"每笔满 {least} 元", f"bills of {least} yuan or more")


def _when(book: Book, offer: Offer) -> Iterator[Words]:
    when = offer.when
    match (when.first_day, when.last_day):
        case (None, None):
            yield Words("长期有效", "without an end")
        case (first, None):
            yield Words(f"自 {first} 起", f"from {first} on")
        case (None, last):
            yield Words(f"至 {last} 止（含当日）", f"until {last}, that day included")
        case (first, last):
            yield Words(f"{first} 至 {last}（首尾两日均含）", f"from {first} to {last}, both days included")
    if when.days:
        kinds = joined([DAY_KIND_WORDS[kind] for kind in when.days])
        yield Words(f"限{kinds.zh}", f"on {kinds.en}")
    if when.windows:
        hours = joined([hours_words(window) for window in when.windows])
        yield Words(f"办理时间：{hours.zh}", f"open {hours.en}")
    if when.blackout:
        days = ", ".join(f"{day}" for day in when.blackout)
        yield Words(f"{days} 不办理", f"not on {days}")
    if when.since:
        yield _since(book, when.since)


def _since(book: Book, since: Since) -> Words:
    zh = f"{since.months} 个月" if since.months else f"{since.days} 天"
    en = f"{since.months} months" if since.months else f"{since.days} days"
    if since.offer is None:
        return Words(f"限发卡之日起 {zh}内", f"within {en} of the card's issue")
    first = book.offer(since.offer)
    name = first.name.words if first else Words(since.offer, since.offer)
    return Words(f"限办理“{name.zh}”之日起 {zh}内", f'within {en} of "{name.en}"')


def _price(book: Book, offer: Offer) -> Iterator[Words]:
    units = [book.categories[one].unit.words for one in offer.what.categories]
    unit = units[0] if len(units) == 1 else Words("件", "unit")
    yield price_words(book, offer.price, unit)
    if offer.saving_max_fen is not None:
        most = yuan(offer.saving_max_fen)
        yield Words(f"每笔最多优惠 {most} 元", f"saving at most {most} yuan a bill")
    if offer.opens:
        yield Words(f"每份含 {offer.opens.visits} 次", f"each opens {offer.opens.visits} visits")
    if offer.takes:
        pack = book.offer(offer.takes.offer)
        name = pack.name.words if pack else Words(offer.takes.offer, offer.takes.offer)
        yield Words(f"每次从“{name.zh}”中扣一次", f'each takes one visit out of "{name.en}"')
    for fee in offer.fees:
        amount = yuan(fee.amount_fen)
        proof = next((one.label.words for one in offer.proof if one.name == fee.unless_proof), None)
        unless = Words(f"（自带{proof.zh}者免）", f" unless the {proof.en} is brought") if proof else Words("", "")
        yield Words(f"另收{fee.name.zh} {amount} 元{unless.zh}", f"plus {amount} yuan {fee.name.en}{unless.en}")


def price_words(book: Book, price: Price, unit: Words) -> Words:
    """What the member pays, in words. `unit` is what one of the thing is called."""
    match price:
        case LowestListed(attribute=attribute):
            label = book.attributes[attribute].label.words
            return Words(f"按{label.zh}付", f"at the {label.en}")
        case ByCategory(rates=rates):
            parts = [(book.categories[name], rate) for name, rate in rates.items()]
            said = [(part.name.words, _rate_words(rate, part.unit.words)) for part, rate in parts]
            return joined([Words(f"{name.zh}{rate.zh}", f"{name.en} {rate.en}") for name, rate in said])
        case Tiers():
            return _tiers(price)
        case NthFree(every=every, over=over):
            whole = Words("每笔", "of a bill") if over == "sale" else Words("累计", "of all the member buys")
            return Words(f"{whole.zh}每 {every} {unit.zh}免最便宜的一{unit.zh}", f"one in {every} {whole.en} is free")
        case _:
            return _rate_words(price, unit)


def _rate_words(rate: Rate, unit: Words) -> Words:
    match rate:
        case FixedUnit(unit_fen=fen):
            return Words(f"每{unit.zh} {yuan(fen)} 元", f"{yuan(fen)} yuan each")
        case FlatUpTo(pay_fen=pay, covers_fen=covers):
            return Words(
                f"{yuan(covers)} 元以内付 {yuan(pay)} 元，超出部分按原价",
                f"{yuan(pay)} yuan for up to {yuan(covers)} yuan's worth, the rest at list price",
            )
        case PayPercent(pay_bp=pay_bp):
            return Words(f"付原价的 {_percent(pay_bp)}", f"{_percent(pay_bp)} of the list price")
        case Free():
            return Words("免费", "free")


def _tiers(price: Tiers) -> Words:
    units = price.by == "units"
    said = []
    for step in price.steps:
        begin = str(step.from_) if units else yuan(step.from_)
        said.append(
            Words(
                f"满 {begin} {'件' if units else '元'}付 {_percent(step.pay_bp)}",
                f"{_percent(step.pay_bp)} from {begin} {'units' if units else 'yuan'} on",
            )
        )
    return joined(said)


def _percent(pay_bp: int) -> str:
    whole, rest = divmod(pay_bp, 100)
    return f"{whole}{f'.{rest:02d}'.rstrip('0') if rest else ''}%"


def _limits(book: Book, offer: Offer) -> Iterator[Words]:
    if not offer.limits and not offer.takes:
        yield Words("不限次数", "as often as liked")
    for limit in offer.limits:
        yield _limit(book, offer, limit)


def _limit(book: Book, offer: Offer, limit: Limit) -> Words:
    scope = joined([EACH_SCOPE_WORDS[one] for one in limit.per])
    window = EACH_WINDOW_WORDS[limit.window]
    unit = COUNT_WORDS.get(limit.count) or book.categories[offer.what.categories[0]].unit.words
    most = yuan(limit.max) if limit.count == "fen" else str(limit.max)
    policy = OFFLINE_WORDS[limit.offline]
    return Words(
        f"{scope.zh}{window.zh}最多 {most} {unit.zh}（{policy.zh}）",
        f"{scope.en}{window.en} at most {most} {unit.en} ({policy.en})",
    )


def _proofs(offer: Offer) -> Iterator[Words]:
    for proof in offer.proof:
        yield _proof(proof)


def _proof(proof: Proof) -> Words:
    label = proof.label.words
    if isinstance(proof, VoucherProof):
        last = (
            Words(f"，{proof.last_day} 后作废", f", void after {proof.last_day}") if proof.last_day else Words("", "")
        )
        register = Words("，须在总部登记册内", ", registered by headquarters") if proof.registered else Words("", "")
        return Words(f"须交{label.zh}{register.zh}{last.zh}", f"with the {label.en}{register.en}{last.en}")
    kept = Words("，号码只留密文", ", of whose number only a keyed hash is kept")
    how = kept if isinstance(proof, NumberProof) else Words("，只查看不留存", ", seen and not kept")
    if proof.optional:
        return Words(f"可出示{label.zh}{how.zh}", f"the {label.en} may be shown{how.en}")
    return Words(f"须出示{label.zh}{how.zh}", f"with the {label.en}{how.en}")


def _combines(book: Book, offer: Offer) -> Iterator[Words]:
    rivals = [
        other.name.words
        for other in book.offers
        if other.group == offer.group and other.id != offer.id and _meet(book, offer, other)
    ]
    if rivals:
        listed = joined([Words(f"“{one.zh}”", f'"{one.en}"') for one in rivals])
        yield Words(f"与{listed.zh}只能任选其一", f"never together with {listed.en}")


def _meet(book: Book, one: Offer, other: Offer) -> bool:
    """Whether two offers hold at any place together."""
    return bool(_places(book, one) & _places(book, other))


def _places(book: Book, offer: Offer) -> set[str]:
    everywhere = not offer.where.merchants and not offer.where.sites
    return {
        f"{merchant.id}/{site.id}"
        for merchant in book.merchants
        for site in merchant.sites
        if everywhere or merchant.id in offer.where.merchants or f"{merchant.id}/{site.id}" in offer.where.sites
    }
