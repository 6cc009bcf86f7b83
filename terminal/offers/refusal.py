"""Why an offer is not given: a closed list of codes, each with its numbers and a sentence to read to the customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
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
    BLACKOUT = "blackout"
    LINES_INVALID = "lines-invalid"
    QUANTITY_INVALID = "quantity-invalid"
    PRICE_INVALID = "price-invalid"
    WRONG_CATEGORY = "wrong-category"
    EXCLUDED = "excluded"
    ATTRIBUTE_MISSING = "attribute-missing"
    ATTRIBUTE_INVALID = "attribute-invalid"
    PROOF_MISSING = "proof-missing"
    PROOF_INVALID = "proof-invalid"
    VOUCHER_UNKNOWN = "voucher-unknown"
    VOUCHER_EXPIRED = "voucher-expired"
    VOUCHER_USED = "voucher-used"
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
            "本店的特约商户协议有效期为 {first_day} 至 {last_day}，今天不能办理优惠",
            "this merchant's agreement runs from {first_day} to {last_day}: no offers today",
        ),
        RefusalCode.NOT_STARTED: Words("活动从 {first_day} 开始，现在还不能用", "the offer starts on {first_day}"),
        RefusalCode.ENDED: Words("活动到 {last_day} 为止，已经结束", "the offer ended after {last_day}"),
        RefusalCode.OUTSIDE_HOURS: Words(
            "现在 {now}，不在办理时间内；办理时间：{hours}", "it is {now} now; the offer is open {hours}"
        ),
        RefusalCode.BLACKOUT: Words(
            "{day} 当天不办理，请改天再来", "the offer rests on {day}; please come another day"
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
            "第 {line} 行：{label}“{answer}”不享受本优惠，可以选：{allowed}",
            "line {line}: {label} {answer} is excluded; possible: {allowed}",
        ),
        RefusalCode.ATTRIBUTE_MISSING: Words("第 {line} 行：请填写{label}", "line {line}: {label} is missing"),
        RefusalCode.ATTRIBUTE_INVALID: Words(
            "第 {line} 行：{label}填写有误，请重新填写", "line {line}: {label} is not valid; enter it again"
        ),
        RefusalCode.PROOF_MISSING: Words("请顾客出示{label}", "please ask for: {label}"),
        RefusalCode.PROOF_INVALID: Words(
            "{label}填写有误，请核对后重新填写", "{label} is not valid; check and enter it again"
        ),
        RefusalCode.VOUCHER_UNKNOWN: Words(
            "{label}的券号不对，请核对", "the number of the {label} is not valid; check it"
        ),
        RefusalCode.VOUCHER_EXPIRED: Words(
            "{label}已于 {last_day} 到期，过期作废", "the {label} was valid until {last_day} and is void now"
        ),
        RefusalCode.VOUCHER_USED: Words("这张券已经用过了", "this voucher has been used already"),
        RefusalCode.LIMIT_REACHED: Words(
            "{scope}{window}最多 {max} {unit}：已用 {used}，还可用 {remaining}，这次要 {asked}{frees}",
            "{scope}{window} at most {max} {unit}: {used} used, {remaining} left, {asked} asked for{frees}",
        ),
        RefusalCode.QUOTA_GONE: Words(
            "{scope}{window}名额不够：还剩 {remaining} {unit}，这次要 {asked}（本机共 {max}，已用 {used}）",
            "{scope}{window} too few left: {remaining} {unit}, {asked} asked for ({used} of {max} used here)",
        ),
        RefusalCode.NEEDS_HQ: Words(
            "“{name}”需要总部分配名额，本机现在没有；请等联网后再试",
            'headquarters must grant a share of "{name}" and this terminal has none; try again when the line is up',
        ),
        RefusalCode.NO_BENEFIT: Words(
            "原价 {list_fen} 元不高于优惠价，按原价收，不占用优惠名额",
            "the list price of {list_fen} yuan is no more than the offer's: charge it as it is; nothing is used up",
        ),
        RefusalCode.BEATEN_BY: Words("“{winner}”更划算，已改用", '"{winner}" is the better choice for the member'),
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
        places: dict[str, object] = dict(self.numbers)
        for name, number in self.numbers.items():
            if name.endswith(FEN_SUFFIX) and isinstance(number, int):
                places[name] = yuan(number)
        for name, words in self.words.items():
            places[name] = words.zh if language == "zh" else words.en  # a name is data, never a template
        return REFUSAL_WORDS[self.code].text(language, **places)


def yuan(fen: int) -> str:
    """Fen as yuan, without empty decimals: 1000 is `10`, 1250 is `12.50`."""
    whole, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{whole}{f'.{rest:02d}' if rest else ''}"


def joined(parts: list[Words]) -> Words:
    """Several names as one: `甲、乙` and `a, b`."""
    return Words("、".join(part.zh for part in parts), ", ".join(part.en for part in parts))
