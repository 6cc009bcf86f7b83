"""`jingka book replay`: what a draft book would have made of the ledger's own past sales, as a table and a chart."""

from __future__ import annotations

import dataclasses
import json as json_format
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.settings import load_terminal
from terminal.commands.options import DEFAULT_CONFIG, ledger_path
from terminal.commands.progress import progress_bar
from terminal.offers.book import load_book
from terminal.offers.refusal import yuan
from terminal.offers.replay import OfferSum, Report, replay
from terminal.replay import count_entries, past_sales

if TYPE_CHECKING:
    from rich.console import Console

HEADINGS = (
    "优惠 offer",
    "笔 sales",
    "实收 paid",
    "草案 would pay",
    "原补贴 saved",
    "草案补贴 would save",
)
TOTAL = "合计 total"
BAR_CHARS = 40  # the longest bar of the chart
CHART_DAYS_MAX = 62  # two months, a line a day; longer ranges are shown by month


def run(draft: Path, first: date, last: date, config: Path, data: Path | None, *, json: bool) -> Report:
    """Replay and print. Raises what loading the book and reading the ledger raise."""
    book = load_book(draft)
    path = ledger_path(config, data)
    total = count_entries(path)
    with progress_bar("replay") as progress:
        events = past_sales(path, _issue_days(config, data))
        report = replay(book, events, first, last, lambda done: progress(done, total))
        progress(total, total)
    if json:
        import typer

        typer.echo(json_format.dumps(as_dict(report), ensure_ascii=False))
    else:
        from rich.console import Console

        show(report, Console(highlight=False))
    return report


def _issue_days(config: Path, data: Path | None) -> Callable[[str], date | None]:
    """Issue days by token, from the roll of the settings. With `--data` alone there is no roll: nobody's is known."""
    if data is not None and config == DEFAULT_CONFIG:
        return _nobodys
    from terminal.membership.roll import Roll

    roll = Roll.open(load_terminal(config).membership.roll)

    def issued(token: str) -> date | None:
        record = roll.find(token)
        return None if record is None else record.issued

    return issued


def _nobodys(_token: str) -> None:
    return None


def as_dict(report: Report) -> dict[str, Any]:
    """The report as JSON-able values, money in fen."""
    return {
        "sales": report.sales,
        "changed": report.changed,
        "given_back": report.given_back,
        "offers": {offer: _sum(total) for offer, total in sorted(report.offers.items())},
        "days": {day.isoformat(): _sum(total) for day, total in sorted(report.days.items())},
        "limits": [
            {"offer": offer, "limit": limit, "used": report.used[offer, limit], "bites": report.bites[offer, limit]}
            for offer, limit in _limits(report)
        ],
        "examples": [{**dataclasses.asdict(example), "day": example.day.isoformat()} for example in report.examples],
    }


def show(report: Report, console: Console) -> None:
    """The table by offer, the limits that bit, the chart by day, and some sales that would have come out otherwise."""
    from rich.table import Table

    table = Table(title="重放（元） / replay (yuan)", title_justify="left")
    for heading in HEADINGS:
        offer_column = heading == HEADINGS[0]  # folded, never cut: the id is what the reader looks up in the book
        table.add_column(heading, justify="left" if offer_column else "right", overflow="fold", no_wrap=False)
    for offer, total in sorted(report.offers.items()):
        table.add_row(offer, *_amounts(total))
    if len(report.offers) > 1:
        table.add_section()
        table.add_row(TOTAL, *_amounts(_together(report.offers.values())))
    console.print(table)
    for offer, total in sorted(report.offers.items()):
        refused = ", ".join(f"{code} {count}" for code, count in total.refused.most_common() if count)
        if refused:
            console.print(f"{offer}: 拒绝 refused {refused}")
    for offer, limit in _limits(report):
        console.print(f"{offer}/{limit}: 已用 used {report.used[offer, limit]}，触限 bit {report.bites[offer, limit]}")
    _chart(report, console)
    for example in report.examples:
        became = f"{example.would_offer} {yuan(example.would_pay_fen)} {example.code}".rstrip()
        console.print(f"{example.day} {example.id} {example.offer} {yuan(example.was_pay_fen)} → {became}")
    console.print(
        f"{report.sales} 笔 sales，{report.changed} 笔不同 would differ，{report.given_back} 次退回 gave back"
    )


def _amounts(total: OfferSum) -> tuple[str, ...]:
    """Under the headings: sales, what was and would be paid, what was and would be saved."""
    fen = (total.was_pay_fen, total.would_pay_fen, total.was_saving_fen, total.would_save_fen)
    return str(total.sales), *(yuan(amount) for amount in fen)


def _together(totals: Iterable[OfferSum]) -> OfferSum:
    together = OfferSum()
    for total in totals:
        together.sales += total.sales
        together.was_list_fen += total.was_list_fen
        together.was_pay_fen += total.was_pay_fen
        together.would_pay_fen += total.would_pay_fen
    return together


def _chart(report: Report, console: Console) -> None:
    """Two bars a day (a month, for long ranges): what members saved then, and what they would save, in yuan."""
    spans: dict[str, list[int]] = {}
    monthly = len(report.days) > CHART_DAYS_MAX
    for day, total in sorted(report.days.items()):
        span = spans.setdefault(f"{day:%Y-%m}" if monthly else f"{day}", [0, 0])
        span[0] += total.was_saving_fen
        span[1] += total.would_save_fen
    most = max((amount for span in spans.values() for amount in span), default=0)
    for name, (was, would) in spans.items():
        console.print(f"{name:<10} 原 was   {_bar(was, most)} {yuan(was)}")
        console.print(f"{'':<10} 草案 new {_bar(would, most)} {yuan(would)}")


def _bar(amount: int, most: int) -> str:
    return "█" * (BAR_CHARS * max(0, amount) // most if most else 0)


def _limits(report: Report) -> list[tuple[str, str]]:
    return sorted({*report.used, *report.bites})


def _sum(total: OfferSum) -> dict[str, Any]:
    return {
        "sales": total.sales,
        "was_list_fen": total.was_list_fen,
        "was_pay_fen": total.was_pay_fen,
        "would_sell": total.would_sell,
        "would_pay_fen": total.would_pay_fen,
        "was_saving_fen": total.was_saving_fen,
        "would_save_fen": total.would_save_fen,
        "refused": dict(total.refused),
    }
