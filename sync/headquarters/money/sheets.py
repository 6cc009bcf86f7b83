"""Settlements and yearly reviews laid out as sheets of cells, for CSV and Excel. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from config.errors import Language, Words
from sync.headquarters.money.document import Line
from sync.headquarters.money.review import Part, YearReview
from sync.headquarters.money.settlement import Settlement
from terminal.reports.sheets import Cell, Sheet, Yuan

KIND_WORDS: Final[dict[str, Words]] = {
    "completed": Words("完成", "completed"),
    "voided": Words("作废", "voided"),
    "charge": Words("扣款", "charge"),
}
STATE_WORDS: Final[dict[str, Words]] = {
    "open": Words("未关账", "open"),
    "closed": Words("已关账", "closed"),
    "covered": Words("无发生额", "nothing counted"),
}

_SETTLEMENT = Words("结算单", "Settlement")
_LINES = Words("明细", "Lines")
_REVIEW = Words("年度评议", "Yearly review")
_MONTHS = Words("按月", "By month")
_OFFERS = Words("按优惠", "By offer")
_COMPLAINTS = Words("投诉", "Complaints")
_ITEM, _VALUE = Words("项目", "Item"), Words("数值", "Value")
_MERCHANT, _MONTH, _STATE = Words("商户", "Merchant"), Words("月份", "Month"), Words("状态", "State")
_YEAR, _DAY, _KIND, _OFFER = (
    Words("年度", "Year"),
    Words("业务日", "Day"),
    Words("类别", "Kind"),
    Words("优惠", "Offer"),
)
_LATE = Words("补传", "Late")
_YES = Words("是", "yes")
_SHARE = Words("补贴比例（%）", "Share (%)")
_COMPLETED, _VOIDED = Words("完成笔数", "Completed"), Words("作废次数", "Voids")
_STEPS, _UNITS = Words("笔数", "Count"), Words("份数", "Units")
_LIST, _PAY = Words("原价（元）", "List price (yuan)"), Words("会员价（元）", "Member price (yuan)")
_SAVING, _SUBSIDY = Words("优惠额（元）", "Saving (yuan)"), Words("应付补贴（元）", "Subsidy owed (yuan)")
_CHARGED = Words("其中扣款（元）", "Charges taken off (yuan)")
_CLOSED_AT, _CLOSED_BY = Words("关账时间", "Closed at"), Words("关账人", "Closed by")
_HASH, _PREVIOUS = Words("摘要", "Hash"), Words("上一张结算单的摘要", "Hash of the one before")
_KEY, _SIGNATURE = Words("总部公钥", "Headquarters' key"), Words("签名", "Signature")
_MEMBERS = Words("服务会员卡数", "Cards served")
_COMPLAINT_COUNT, _COMPLAINT_OPEN = Words("投诉件数", "Complaints"), Words("其中未结", "Still open")
_FINDING = Words("待核查记录：{code}", "Findings: {code}")
_TERMINAL, _TEXT, _OUTCOME = Words("终端", "Terminal"), Words("内容", "What was said"), Words("处理结果", "Outcome")
_NUMBER = Words("编号", "Number")


def settlement_sheets(found: Settlement, language: Language) -> tuple[Sheet, ...]:
    """A summary with the signature, then every line."""
    totals = found.totals
    rows: list[tuple[Words, Cell]] = [
        (_MERCHANT, found.merchant),
        (_MONTH, found.month),
        (_STATE, STATE_WORDS[found.state].text(language)),
        (_COMPLETED, totals.completed),
        (_VOIDED, totals.voided),
        (_UNITS, totals.units),
        (_LIST, Yuan(totals.list)),
        (_PAY, Yuan(totals.pay)),
        (_SAVING, Yuan(totals.saving)),
        (_CHARGED, Yuan(totals.charged)),
        (_SUBSIDY, Yuan(totals.subsidy)),
        (_PREVIOUS, found.previous),
    ]
    if found.closed_at is not None:
        signed = ((_CLOSED_BY, found.closed_by), (_HASH, found.hash), (_KEY, found.key), (_SIGNATURE, found.signature))
        rows += [(_CLOSED_AT, found.closed_at.isoformat()), *((words, text or "") for words, text in signed)]
    headings = (_DAY, _LATE, _KIND, _OFFER, _SHARE, _STEPS, _UNITS, _LIST, _PAY, _SAVING, _SUBSIDY)
    lines = [_line(line, found.month, language) for line in found.lines]
    return _summary(_SETTLEMENT, rows, language), _sheet(_LINES, headings, lines, language)


def review_sheets(review: YearReview, language: Language) -> tuple[Sheet, ...]:
    """The year in a summary, by month, by offer, and the complaints."""
    total = review.total
    rows: list[tuple[Words, Cell]] = [
        (_MERCHANT, review.merchant),
        (_YEAR, review.year),
        (_COMPLETED, total.completed),
        (_VOIDED, total.voided),
        (_UNITS, total.units),
        (_MEMBERS, review.members),
        (_LIST, Yuan(total.list)),
        (_PAY, Yuan(total.pay)),
        (_SAVING, Yuan(total.saving)),
        (_CHARGED, Yuan(review.charged)),
        (_SUBSIDY, Yuan(total.subsidy)),
        (_COMPLAINT_COUNT, review.complaint_count),
        (_COMPLAINT_OPEN, review.complaints_open),
    ]
    summary = _summary(_REVIEW, rows, language)
    findings = tuple((_FINDING.text(language, code=each.code), each.count) for each in review.findings)
    sums = (_COMPLETED, _VOIDED, _UNITS, _LIST, _PAY, _SAVING, _SUBSIDY)
    months = [(each.month, *_part(each.sums)) for each in review.months]
    offers = [(each.offer, *_part(each.sums)) for each in review.offers]
    complaints = [(each.id, each.day, each.terminal or "", each.text, each.outcome or "") for each in review.complaints]
    return (
        Sheet(summary.title, summary.headings, (*summary.rows, *findings)),
        _sheet(_MONTHS, (_MONTH, *sums), months, language),
        _sheet(_OFFERS, (_OFFER, *sums), offers, language),
        _sheet(_COMPLAINTS, (_NUMBER, _DAY, _TERMINAL, _TEXT, _OUTCOME), complaints, language),
    )


def percent(share_bp: int) -> str:
    """Basis points as a percentage: 5000 is `50`, 3333 is `33.33`."""
    whole, rest = divmod(share_bp, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") if rest else str(whole)


def _line(line: Line, month: str, language: Language) -> tuple[Cell, ...]:
    late = _YES.text(language) if line.day[:7] < month else ""
    kind = KIND_WORDS[line.kind].text(language)
    money = (Yuan(line.list), Yuan(line.pay), Yuan(line.saving), Yuan(line.subsidy))
    return (line.day, late, kind, line.offer, percent(line.share_bp), line.steps, line.units, *money)


def _part(part: Part) -> tuple[Cell, ...]:
    counts = (part.completed, part.voided, part.units)
    return (*counts, Yuan(part.list), Yuan(part.pay), Yuan(part.saving), Yuan(part.subsidy))


def _summary(title: Words, rows: Iterable[tuple[Words, Cell]], language: Language) -> Sheet:
    told = [(words.text(language), cell) for words, cell in rows]
    return _sheet(title, (_ITEM, _VALUE), told, language)


def _sheet(title: Words, headings: tuple[Words, ...], rows: Sequence[tuple[Cell, ...]], language: Language) -> Sheet:
    return Sheet(title.text(language), tuple(heading.text(language) for heading in headings), tuple(rows))
