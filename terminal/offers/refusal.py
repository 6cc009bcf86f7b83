"""Why an offer is not given: a closed list of codes, each with its numbers and a sentence to read to the customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from string import Formatter
from types import MappingProxyType

from config.errors import Language, Words

FEN_SUFFIX = "_fen"  # a number so named is money and is read out in yuan


class RefusalCode(StrEnum):
    """Every reason there is. Pages, reports and HQ rely on these names: add, never rename."""

    NOT_A_MEMBER = "not-a-member"
    WRONG_CLASS = "wrong-class"
    GENUINE_CHIP_REQUIRED = "genuine-chip-required"
    UNKNOWN_OFFER = "unknown-offer"
    WRONG_STORE = "wrong-store"
    NO_AGREEMENT = "no-agreement"
    NOT_STARTED = "not-started"
    ENDED = "ended"
    OUTSIDE_HOURS = "outside-hours"
    WRONG_DAY = "wrong-day"
    CALENDAR_UNKNOWN = "calendar-unknown"
    ISSUE_DATE_UNKNOWN = "issue-date-unknown"
    NEEDS_FIRST = "needs-first"
    PERIOD_OVER = "period-over"
    BLACKOUT = "blackout"
    LINES_INVALID = "lines-invalid"
    QUANTITY_INVALID = "quantity-invalid"
    PRICE_INVALID = "price-invalid"
    WRONG_CATEGORY = "wrong-category"
    EXCLUDED = "excluded"
    ATTRIBUTE_MISSING = "attribute-missing"
    ATTRIBUTE_INVALID = "attribute-invalid"
    BELOW_MINIMUM = "below-minimum"
    PROOF_MISSING = "proof-missing"
    PROOF_INVALID = "proof-invalid"
    VOUCHER_UNKNOWN = "voucher-unknown"
    VOUCHER_EXPIRED = "voucher-expired"
    VOUCHER_USED = "voucher-used"
    VOUCHER_OTHER_OFFER = "voucher-other-offer"
    VOUCHER_OTHER_CARD = "voucher-other-card"
    VOUCHER_OTHER_MERCHANT = "voucher-other-merchant"
    NO_VISITS_LEFT = "no-visits-left"
    LIMIT_REACHED = "limit-reached"
    QUOTA_GONE = "quota-gone"
    NEEDS_HQ = "needs-hq"
    NO_BENEFIT = "no-benefit"
    BEATEN_BY = "beaten-by"


REFUSAL_WORDS: Mapping[RefusalCode, Words] = MappingProxyType(
    {
        RefusalCode.NOT_A_MEMBER: Words("不能享受会员优惠：{standing}", "no member price: {standing}"),
        RefusalCode.WRONG_CLASS: Words("本优惠只限{classes}", "this offer is only for {classes}"),
        RefusalCode.GENUINE_CHIP_REQUIRED: Words(
            "本优惠须验证卡片芯片，这次读卡没有验证到",
            "this offer asks for a chip that has proved itself, and this reading has no such proof",
        ),
        RefusalCode.UNKNOWN_OFFER: Words("本店没有这项优惠，请重新选择", "there is no such offer here; choose again"),
        RefusalCode.WRONG_STORE: Words("本店不参加“{name}”", 'this shop does not take part in "{name}"'),
        RefusalCode.NO_AGREEMENT: Words(
            "本店的特约商户协议有效期为 {first_day} 起{last}，今天不能办理优惠",
            "this merchant's agreement runs from {first_day}{last}: no offers today",
        ),
        RefusalCode.NOT_STARTED: Words("活动从 {first_day} 开始，现在还不能用", "the offer starts on {first_day}"),
        RefusalCode.ENDED: Words("活动到 {last_day} 为止，已经结束", "the offer ended after {last_day}"),
        RefusalCode.OUTSIDE_HOURS: Words(
            "现在 {now}，不在办理时间内；办理时间：{hours}", "it is {now} now; the offer is open {hours}"
        ),
        RefusalCode.BLACKOUT: Words("{day} 当天不办理", "the offer rests on {day}"),
        RefusalCode.WRONG_DAY: Words(
            "本优惠只在{kinds}办理，{day} 不是", "the offer is for {kinds}, and {day} is none"
        ),
        RefusalCode.CALENDAR_UNKNOWN: Words(
            "{year} 年的节假日安排尚未载入，无法判断今天是否可用",
            "the public holidays of {year} are not known here yet, so today cannot be judged",
        ),
        RefusalCode.ISSUE_DATE_UNKNOWN: Words(
            "名册上没有这张卡的发卡日期，无法判断是否在优惠期内",
            "the roll does not say when this card was issued, so its period cannot be judged",
        ),
        RefusalCode.NEEDS_FIRST: Words("要先办理“{first}”", 'this needs "{first}" first'),
        RefusalCode.PERIOD_OVER: Words(
            "这位会员的“{name}”自 {first_day} 起，到 {last_day} 已满期",
            'this member\'s period for "{name}" ran from {first_day} to {last_day} and is over',
        ),
        RefusalCode.BELOW_MINIMUM: Words(
            "满 {min_fen} 元可用，现在 {have_fen} 元，还差 {missing_fen} 元",
            "from {min_fen} yuan on; this bill is {have_fen} yuan, {missing_fen} short",
        ),
        RefusalCode.LINES_INVALID: Words(
            "一笔应有 1 至 {max} 行，现在有 {lines} 行", "a bill has 1 to {max} lines; this one has {lines}"
        ),
        RefusalCode.QUANTITY_INVALID: Words(
            "第 {line} 行：数量应为 1 至 {max}", "line {line}: the quantity must be 1 to {max}"
        ),
        RefusalCode.PRICE_INVALID: Words(
            "第 {line} 行：原价应在 0 至 {max_fen} 元之间", "line {line}: the list price must be 0 to {max_fen} yuan"
        ),
        RefusalCode.WRONG_CATEGORY: Words(
            "第 {line} 行不在优惠范围内，本优惠只限：{categories}",
            "line {line} is not covered; this offer is only for: {categories}",
        ),
        RefusalCode.EXCLUDED: Words(
            "第 {line} 行：{label}“{answer}”不享受本优惠", "line {line}: {label} {answer} is excluded"
        ),
        RefusalCode.ATTRIBUTE_MISSING: Words("第 {line} 行：请填写{label}", "line {line}: {label} is missing"),
        RefusalCode.ATTRIBUTE_INVALID: Words(
            "第 {line} 行：{label}填写有误，请重新填写", "line {line}: {label} is not valid; enter it again"
        ),
        RefusalCode.PROOF_MISSING: Words("还没有出示{label}", "not shown yet: {label}"),
        RefusalCode.PROOF_INVALID: Words(
            "{label}填写有误，请核对后重新填写", "{label} is not valid; check and enter it again"
        ),
        RefusalCode.VOUCHER_UNKNOWN: Words("{label}的券号不对", "the number of the {label} is not valid"),
        RefusalCode.VOUCHER_EXPIRED: Words(
            "{label}已于 {last_day} 到期，过期作废", "the {label} was valid until {last_day} and is void now"
        ),
        RefusalCode.VOUCHER_USED: Words("这张券已经用过了", "this voucher has been used already"),
        RefusalCode.VOUCHER_OTHER_OFFER: Words("{label}不是这项优惠的券", "the {label} is for another offer"),
        RefusalCode.VOUCHER_OTHER_CARD: Words(
            "{label}是另一位会员预约的，不能用这张卡", "the {label} was booked by another member"
        ),
        RefusalCode.VOUCHER_OTHER_MERCHANT: Words("{label}不能在本店使用", "the {label} is not for this merchant"),
        RefusalCode.NO_VISITS_LEFT: Words(
            "套餐共 {opened} 次，已用 {used} 次，还剩 {remaining} 次，这次要 {asked} 次",
            "{opened} visits bought, {used} taken, {remaining} left, {asked} asked for",
        ),
        RefusalCode.LIMIT_REACHED: Words(
            "{scope}{window}最多 {max} {unit}：已用 {used}，还可用 {remaining}，这次要 {asked}",
            "{scope}{window} at most {max} {unit}: {used} used, {remaining} left, {asked} asked for",
        ),
        RefusalCode.QUOTA_GONE: Words(
            "{scope}{window}名额不够：还剩 {remaining} {unit}，这次要 {asked}（本机共 {max}，已用 {used}）",
            "{scope}{window} too few left: {remaining} {unit}, {asked} asked for ({used} of {max} used here)",
        ),
        RefusalCode.NEEDS_HQ: Words(
            "“{name}”要由总部先下发名额或券号，本机现在没有",
            'headquarters must first hand out a share of "{name}", or its vouchers; this terminal has none',
        ),
        RefusalCode.NO_BENEFIT: Words(
            "原价 {list_fen} 元不高于优惠价，按原价收，不占用优惠名额",
            "the list price of {list_fen} yuan is no more than the offer's: charge it as it is; nothing is used up",
        ),
        RefusalCode.BEATEN_BY: Words("“{winner}”更划算，已改用", '"{winner}" is the better choice for the member'),
    }
)


# What would make it possible, read to the customer after the reason: the first sentence all of whose numbers are there.
# A code that is not here has nothing to advise, or its reason says it already.
REMEDY_WORDS: Mapping[RefusalCode, tuple[Words, ...]] = MappingProxyType(
    {
        RefusalCode.NOT_A_MEMBER: (
            Words("请按原价收款；持卡人可拨打 12351", "take the list price; the holder can call 12351"),
        ),
        RefusalCode.GENUINE_CHIP_REQUIRED: (Words("请插卡或挥卡再试", "insert or tap the card and try again"),),
        RefusalCode.WRONG_STORE: (Words("请到参加活动的门店", "possible at a shop that takes part"),),
        RefusalCode.NOT_STARTED: (Words("{next_day} 起可以办理", "possible from {next_day}"),),
        RefusalCode.BLACKOUT: (Words("最早 {next_day} 可以办理", "possible again on {next_day}"),),
        RefusalCode.OUTSIDE_HOURS: (
            Words("最早 {next_day} {next_time} 可以办理", "open next on {next_day} {next_time}"),
            Words("最早 {next_day} 可以办理", "open next on {next_day}"),
        ),
        RefusalCode.WRONG_DAY: (Words("最近的可办理日是 {next_day}", "the next such day is {next_day}"),),
        RefusalCode.CALENDAR_UNKNOWN: (Words("请技术人员升级终端程序", "ask support to update this terminal"),),
        RefusalCode.ISSUE_DATE_UNKNOWN: (
            Words("请持卡人拨打 12351 补登发卡日期", "the holder can have it added by calling 12351"),
        ),
        RefusalCode.NEEDS_FIRST: (Words("请先为顾客办理“{first}”", 'sell "{first}" first'),),
        RefusalCode.WRONG_CATEGORY: (Words("这一行请另按原价收", "sell that line apart, at list price"),),
        RefusalCode.EXCLUDED: (Words("改选“{allowed}”就可以", "possible with {allowed} instead"),),
        RefusalCode.ATTRIBUTE_INVALID: (
            Words("应为 {min} 至 {max} 之间的整数", "a whole number from {min} to {max} is wanted"),
        ),
        RefusalCode.BELOW_MINIMUM: (Words("再加 {missing_fen} 元就可以", "{missing_fen} yuan more would do"),),
        RefusalCode.PROOF_MISSING: (Words("出示{label}后就可以办理", "possible with the {label}"),),
        RefusalCode.VOUCHER_UNKNOWN: (
            Words("请核对券号；仍不对请拨打 12351", "check the number; if it stays wrong, call 12351"),
        ),
        RefusalCode.VOUCHER_USED: (Words("有疑问请拨打 12351", "in doubt call 12351"),),
        RefusalCode.VOUCHER_OTHER_OFFER: (Words("请改选这张券对应的优惠", "choose the offer that the voucher is for"),),
        RefusalCode.VOUCHER_OTHER_CARD: (Words("请用预约时的那张卡", "present the card it was booked with"),),
        RefusalCode.VOUCHER_OTHER_MERCHANT: (
            Words("请到券上写明的商户使用", "it is good at the merchants named on it"),
        ),
        RefusalCode.NO_VISITS_LEFT: (
            Words("减到 {fitting}就可以", "possible with {fitting}"),
            Words("套餐如还可购买，可以再买一份", "another pack would do, if it may still be bought"),
        ),
        RefusalCode.LIMIT_REACHED: (
            Words("减到 {fitting}就可以", "possible with {fitting}"),
            Words("{next_day} 起可以再用", "possible again from {next_day}"),
        ),
        RefusalCode.QUOTA_GONE: (
            Words("减到 {fitting}就可以", "possible with {fitting}"),
            Words("{next_day} 起有新的名额", "there are new ones from {next_day}"),
        ),
        RefusalCode.NEEDS_HQ: (Words("请等联网后再试", "try again when the line is up"),),
        RefusalCode.NO_BENEFIT: (Words("按原价收款即可", "charge the list price"),),
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason. `numbers` travel to pages and problem documents; `words` are the bilingual names of the sentence.

    Neither ever holds what a cashier typed: it might be a card number in the wrong field.
    """

    code: RefusalCode
    numbers: Mapping[str, int | str] = field(default_factory=dict)
    words: Mapping[str, Words] = field(default_factory=dict)

    def text(self, language: Language) -> str:
        """The sentence for the customer, money in yuan."""
        return REFUSAL_WORDS[self.code].text(language, **self._places(language))

    def remedy(self, language: Language) -> str:
        """What would make it possible, as a sentence; empty when nothing would, or nothing is known."""
        places = {name: value for name, value in self._places(language).items() if value != ""}
        for words in REMEDY_WORDS.get(self.code, ()):
            if _wanted(words.zh) <= places.keys():
                return words.text(language, **places)
        return ""

    def _places(self, language: Language) -> dict[str, object]:
        places: dict[str, object] = dict(self.numbers)
        for name, number in self.numbers.items():
            if name.endswith(FEN_SUFFIX) and isinstance(number, int):
                places[name] = yuan(number)
        for name, words in self.words.items():
            places[name] = words.zh if language == "zh" else words.en  # a name is data, never a template
        return places


def _wanted(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def yuan(fen: int) -> str:
    """Fen as yuan, without empty decimals: 1000 is `10`, 1250 is `12.50`."""
    whole, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{whole}{f'.{rest:02d}' if rest else ''}"


def fitting(left: int | str, unit: Words) -> Words:
    """What would still fit: `2 张` and `2 ticket(s)`."""
    return Words(f"{left} {unit.zh}", f"{left} {unit.en}")


def joined(parts: list[Words]) -> Words:
    """Several names as one: `甲、乙` and `a, b`."""
    return Words("、".join(part.zh for part in parts), ", ".join(part.en for part in parts))
