"""The daily report laid out as sheets of cells, in one language: what CSV, Excel and the terminal all show. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from config.errors import Language, Words
from terminal.ledger.project import RedemptionState
from terminal.reports.daily import DailyReport, RedemptionRow, Sums

STATE_WORDS: dict[RedemptionState, Words] = {
    RedemptionState.AUTHORISED: Words("待收款", "unpaid"),
    RedemptionState.COMPLETED: Words("已完成", "completed"),
    RedemptionState.CANCELLED: Words("已取消", "cancelled"),
    RedemptionState.VOIDED: Words("已作废", "voided"),
}

# Reasons that the counter writes by itself, as a code; all others are a cashier's own words.
REASON_WORDS: dict[str, Words] = {"timeout": Words("超时未收款，自动取消", "not settled in time, cancelled by itself")}

# By `drivers.card.EntryMode`, as it stands in an entry.
ENTRY_WORDS: dict[str, Words] = {
    "contact": Words("插卡", "inserted"),
    "contactless": Words("挥卡", "tapped"),
    "stripe": Words("刷磁条", "swiped"),
    "fallback": Words("降级刷磁条", "swiped after a failed chip"),
    "manual": Words("手工输入", "typed"),
}

TITLE = Words("{day} 当日报表", "Daily report {day}")
SUMMARY = Words("汇总", "Summary")
OFFERS = Words("按优惠", "By offer")
CASHIERS = Words("按收银员", "By cashier")
HOURS = Words("按小时", "By hour")
REDEMPTIONS = Words("明细", "Redemptions")

_ITEM = Words("项目", "Item")
_VALUE = Words("数值", "Value")
_DAY = Words("日期", "Day")
_SALES = Words("完成笔数", "Sales")
_UNITS = Words("份数", "Units")
_LIST = Words("原价（元）", "List value (yuan)")
_PAY = Words("会员价（元）", "Member price (yuan)")
_FEES = Words("其中工本费（元）", "Fees within (yuan)")
_SAVING = Words("优惠额（元）", "Saving (yuan)")
_VOIDED_UNITS = Words("作废份数", "Voided units")
_VOIDED_PAY = Words("作废金额（元）", "Voided (yuan)")
_STATE_COUNT = Words("{state}笔数", "Redemptions {state}")
_OFFER = Words("优惠", "Offer")
_NAME = Words("名称", "Name")
_CASHIER = Words("收银员", "Cashier")
_HOUR = Words("时段", "Hour")
_TIME = Words("时间", "Time")
_STATE = Words("状态", "State")
_CARD = Words("卡号末四位", "Card")
_POS_REFERENCE = Words("POS参考号", "POS reference")
_REASON = Words("原因", "Reason")
_SETTLED_BY = Words("经办人", "Settled by")
_NUMBER = Words("编号", "Id")
_ENTRY_MODE = Words("读卡方式", "Card read by")
_APPROVED_BY = Words("批准人", "Approved by")

_SUM_HEADINGS = (_SALES, _UNITS, _LIST, _PAY, _FEES, _SAVING)


@dataclass(frozen=True, slots=True)
class Yuan:
    """Money in a cell, held in fen."""

    fen: int

    def __str__(self) -> str:
        yuan, rest = divmod(abs(self.fen), 100)
        return f"{'-' if self.fen < 0 else ''}{yuan}.{rest:02d}"


Cell: TypeAlias = str | int | Yuan


@dataclass(frozen=True, slots=True)
class Sheet:
    """A title, headings, and rows that each have as many cells as there are headings."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def sheets(report: DailyReport, language: Language) -> tuple[Sheet, ...]:
    """Summary, offers, cashiers, hours, redemptions, in this order."""
    return (
        _summary(report, language),
        _sheet(
            OFFERS,
            (_OFFER, _NAME, *_SUM_HEADINGS),
            [(row.offer, row.name.text(language), *_sum_cells(row.sums)) for row in report.offers],
            language,
        ),
        _sheet(
            CASHIERS,
            (_CASHIER, _NAME, *_SUM_HEADINGS),
            [(row.cashier, row.name, *_sum_cells(row.sums)) for row in report.cashiers],
            language,
        ),
        _sheet(
            HOURS,
            (_HOUR, *_SUM_HEADINGS),
            [(hour_text(row.hour), *_sum_cells(row.sums)) for row in report.hours],
            language,
        ),
        _redemptions(report, language),
    )


def short_sheet(title: Words, rows: tuple[RedemptionRow, ...], language: Language) -> Sheet:
    """A few redemptions as a person looks them up: narrow enough for a terminal, without the id."""
    return _sheet(
        title,
        (_TIME, _OFFER, _CARD, _UNITS, _PAY, _VOIDED_UNITS, _VOIDED_PAY, _CASHIER, _SETTLED_BY, _REASON),
        [
            (
                row.at.strftime("%H:%M:%S"),
                row.offer_name.text(language),
                row.masked,
                row.sold.units,
                Yuan(row.sold.pay_fen),
                row.voided.units,
                Yuan(row.voided.pay_fen),
                row.cashier_name,
                row.settled_by or "",
                reason_text(row.reason, language),
            )
            for row in rows
        ],
        language,
    )


def reason_text(reason: str | None, language: Language) -> str:
    """The reason as shown; empty when there is none."""
    known = REASON_WORDS.get(reason or "")
    return known.text(language) if known else reason or ""


def entry_text(entry_mode: str, language: Language) -> str:
    """How the card was read."""
    known = ENTRY_WORDS.get(entry_mode)
    return known.text(language) if known else entry_mode


def hour_text(hour: int) -> str:
    """The hour as a span: `09:00-10:00`."""
    return f"{hour:02d}:00-{hour + 1:02d}:00"


def _summary(report: DailyReport, language: Language) -> Sheet:
    sums = zip(_SUM_HEADINGS, _sum_cells(report.total), strict=True)
    states = [
        (_STATE_COUNT.text(language, state=STATE_WORDS[state].text(language)), count)
        for state, count in report.states.items()
    ]
    return _sheet(
        SUMMARY,
        (_ITEM, _VALUE),
        [
            (_DAY.text(language), report.day),
            *((heading.text(language), cell) for heading, cell in sums),
            (_VOIDED_UNITS.text(language), report.voided.units),
            (_VOIDED_PAY.text(language), Yuan(report.voided.pay_fen)),
            *states,
        ],
        language,
    )


def _redemptions(report: DailyReport, language: Language) -> Sheet:
    """Every redemption as sold, with what was voided of it."""
    headings = (_TIME, _STATE, _OFFER, _CASHIER, _CARD, _UNITS, _LIST, _PAY, _SAVING, _VOIDED_UNITS, _VOIDED_PAY)
    return _sheet(
        REDEMPTIONS,
        (*headings, _POS_REFERENCE, _REASON, _SETTLED_BY, _NUMBER, _ENTRY_MODE, _APPROVED_BY),
        [
            (
                row.at.strftime("%H:%M:%S"),
                STATE_WORDS[row.state].text(language),
                row.offer_name.text(language),
                row.cashier_name,
                row.masked,
                row.sold.units,
                Yuan(row.sold.list_fen),
                Yuan(row.sold.pay_fen),
                Yuan(row.sold.saving_fen),
                row.voided.units,
                Yuan(row.voided.pay_fen),
                row.pos_reference or "",
                reason_text(row.reason, language),
                row.settled_by or "",
                row.id,
                entry_text(row.entry_mode, language),
                row.approved_by or "",
            )
            for row in report.redemptions
        ],
        language,
    )


def _sum_cells(sums: Sums) -> tuple[Cell, ...]:
    return (sums.sales, sums.units, Yuan(sums.list_fen), Yuan(sums.pay_fen), Yuan(sums.fees_fen), Yuan(sums.saving_fen))


def _sheet(title: Words, headings: tuple[Words, ...], rows: list[tuple[Cell, ...]], language: Language) -> Sheet:
    assert all(len(row) == len(headings) for row in rows)
    return Sheet(title.text(language), tuple(heading.text(language) for heading in headings), tuple(rows))
