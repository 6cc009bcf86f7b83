"""What may go wrong about money at headquarters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from config.errors import JingkaError, Retry, Words
from sync.headquarters.errors import HeadquartersError
from terminal.ledger.errors import CardNumberTyped


class MonthNotOver(HeadquartersError):
    """A month can be closed once it is over in Shanghai."""

    code = "month-not-over"
    retry = Retry.PARK
    what = Words("{month}还没有结束", "{month} is not over yet")
    hint = Words("请在下月关账", "close it next month")


class EarlierMonthOpen(HeadquartersError):
    """Months are closed in order, for each settlement names the one before."""

    code = "earlier-month-open"
    retry = Retry.PARK
    what = Words("{subject}的{earlier}还没有关账", "{subject} has {earlier} still open")
    hint = Words("请先关{earlier}的账", "close {earlier} first")


class SettlementChanged(HeadquartersError):
    """Something arrived after the person looked: what would be signed is not what was seen."""

    code = "settlement-changed"
    retry = Retry.PARK
    what = Words("查看之后又有新数据到达", "more has arrived since you looked")
    hint = Words("请重新查看后再关账", "look again, then close")


class SettlementOpen(HeadquartersError):
    """There is no signed settlement of this month."""

    code = "settlement-open"
    retry = Retry.PARK
    what = Words("{subject}的{month}没有已签名的结算单", "{subject} has no signed settlement of {month}")
    hint = Words("请先关账", "close the month first")


class TermsSettled(HeadquartersError):
    """New terms for days that are settled already."""

    code = "terms-settled"
    retry = Retry.PARK
    what = Words("{subject}已关账到{month}", "{subject} is closed through {month}")
    hint = Words("补贴比例请从之后的日子起生效", "let the terms begin after it")


class ConflictMissing(HeadquartersError):
    """No such finding."""

    code = "conflict-missing"
    retry = Retry.PARK
    what = Words("没有这条待核查记录：{subject}", "there is no such finding: {subject}")
    hint = Words("请核对终端、序号和代码", "check terminal, sequence and code")


class NothingToCharge(HeadquartersError):
    """A charge without an amount, and no subsidy is paid for the sale."""

    code = "nothing-to-charge"
    retry = Retry.PARK
    what = Words("{subject}没有可扣回的补贴", "no subsidy is paid for {subject}")
    hint = Words("请写明扣款金额，或选择其他处理", "name an amount, or decide otherwise")


class ComplaintMissing(HeadquartersError):
    """No such complaint."""

    code = "complaint-missing"
    retry = Retry.PARK
    what = Words("没有投诉{subject}", "there is no complaint {subject}")
    hint = Words("请核对编号", "check the number")


# What headquarters answers; whatever is not here goes by its retry class.
MONEY_STATUSES: Final[Mapping[type[JingkaError], int]] = {
    SettlementOpen: 404,
    ConflictMissing: 404,
    ComplaintMissing: 404,
    CardNumberTyped: 422,
}
