"""One line per case of a published offer: what happened before, what is sold now, and the answer worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.book import LoadedBook, load_book
from terminal.offers.sale import Place, SaleLine
from terminal.offers.voucher import VoucherRecord
from tests.fakes.offers import FakeUsage, Till, member

BOOKS = Path(__file__).parents[2] / "config/books"
ORDINARY = member()


def published(name: str) -> LoadedBook:
    """A book of `config/books`."""
    return load_book(BOOKS / f"{name}.toml")


def holder(
    name: str = "a",
    *,
    standing: Standing = Standing.ACTIVE,
    member_class: MemberClass = MemberClass.ORDINARY,
    issued: str | None = None,
    replaced: bool = False,
) -> Member:
    """A member; `replaced` has a new card and is the same person."""
    one = replace(member(name, standing, member_class), issued=None if issued is None else date.fromisoformat(issued))
    return replace(one, token="v1:" + "9" * 64) if replaced else one


@dataclass(frozen=True)
class Sold:
    """A sale: an offer, lines of (category, quantity, list price in fen, answers), proofs, holder, place, moment."""

    offer: str | None
    lines: tuple[tuple[str, int, int, Mapping[str, str]], ...]
    proofs: Mapping[str, str | bool] = field(default_factory=dict)
    who: Member = ORDINARY
    merchant: str = ""
    site: str = "main"
    at: str = "2013-03-01 12:00"


@dataclass(frozen=True)
class Case:
    """`pays` is the whole bill in fen when it goes through, `refused` the codes when it does not."""

    name: str
    sale: Sold
    pays: int | None = None
    refused: tuple[str, ...] = ()
    before: tuple[Sold, ...] = ()


def check(case: Case, book: LoadedBook, merchant: str, vouchers: Mapping[str, VoucherRecord] | None = None) -> None:
    """Sell what went before, then hold the case's answer against the hand's."""
    usage = FakeUsage(vouchers=vouchers)
    for sold in case.before:
        answer = _till(sold, book, merchant, usage).sell(
            sold.offer, *_lines(sold), proofs=sold.proofs, who=sold.who, at=sold.at
        )
        assert answer.eligible, [refusal.text("en") for refusal in answer.refusals]
    sold = case.sale
    answer = _till(sold, book, merchant, usage).quote(
        sold.offer, *_lines(sold), proofs=sold.proofs, who=sold.who, at=sold.at
    )
    codes = tuple(str(refusal.code) for refusal in answer.refusals)
    assert (codes, answer.pay_fen if not codes else None) == (case.refused, case.pays)
    assert sum(line.pay_fen for line in answer.lines) + sum(fee.amount_fen for fee in answer.fees) == answer.pay_fen
    for refusal in answer.refusals:
        assert refusal.text("zh")
        assert refusal.text("en")
        assert "{" not in refusal.remedy("zh") + refusal.remedy("en")


def _till(sold: Sold, book: LoadedBook, merchant: str, usage: FakeUsage) -> Till:
    return Till(Place(sold.merchant or merchant, sold.site, "t1"), book, usage)


def _lines(sold: Sold) -> tuple[SaleLine, ...]:
    return tuple(SaleLine(*line) for line in sold.lines)
