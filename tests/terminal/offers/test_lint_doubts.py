"""One regrettable book per doubt: the published ones with a small change, the line it is told on, the words, and what
to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from terminal.offers.book import check_book, load_book
from terminal.offers.findings import Finding

BOOKS = Path(__file__).parents[3] / "config" / "books"
WINTER, EVERYDAY = "winter-2012.toml", "everyday.toml"

# The film's and the pass's parts as they stand in the published book.
FILM_WHEN = 'what = { categories = ["film-ticket"], none = { format = ["3d"] } }\nwhen = {'
FILM_DAYS = f"{FILM_WHEN} first_day = 2012-12-25, last_day = 2013-02-20"
FILM_PRICE = '{ kind = "fixed_unit", unit_fen = 1000 }\nlimits = [\n  { id = "tickets"'
TICKETS = '{ id = "tickets", max = 2, count = "units", per = ["card"], window = "campaign", offline = "flag" }'
PURCHASE = '{ id = "purchase", max = 1, count = "uses", per = ["card"], window = "campaign", offline = "flag" }'
POOL_20000 = '{ id = "pool", max = 20000, count = "units", per = ["campaign"], window = "campaign", offline = "lease" }'
LAUNDRY_LIMIT = 'limits = [{ id = "card", max = 1, count = "uses"'
FLAT = "covers_fen = 3000 } # a bill of 45 yuan pays 10 + 15"
PASS_LIMIT = '{ id = "person", max = 1, count = "units", per = ["person"], window = "campaign", offline = "local" }'
HALF = 'price = { kind = "pay_percent", pay_bp = 5000 }\nlimits'
FREE_BINDING = 'when = { since = { event = "card-issued", months = 6 } }'
SINCE_BINDING = 'when = { since = { event = "redeemed", offer = "bookshop-binding", months = 12 } }'

VISIT = """where = { merchants = ["zhongtibeili"] }
what = { categories = ["gym-session"] }
price = { kind = "free" }
takes"""


def tiers(by: str, *steps: tuple[int, int]) -> str:
    listed = ",\n".join(f"  {{ from = {begin}, pay_bp = {pay} }}" for begin, pay in steps)
    return f'[offers.price]\nkind = "tiers"\nby = "{by}"\nsteps = [\n{listed}\n]\n'


# book, what is replaced, by what, a text that only the line told of holds, words of the finding
DOUBTS: Sequence[tuple[str, str, str, str, str]] = [
    (WINTER, FILM_DAYS, f'{FILM_WHEN} days = ["public-holiday"], first_day = 2012-12-05, last_day = 2012-12-20',
     'days = ["public-holiday"]', "is open on no day at all"),
    (WINTER, FILM_DAYS, f"{FILM_WHEN} first_day = 2012-12-25, last_day = 2012-12-25, blackout = [2012-12-25]",
     "blackout", "is open on no day at all"),
    (WINTER, "last_day = 2013-01-15, windows = [{ start = 08:30:00, end = 16:30:00 }] }",
     'last_day = 2012-12-20, windows = [{ weekdays = ["fri"] }] }', 'weekdays = ["fri"]', "no window on any day"),
    (WINTER, "last_day = 2013-01-15, windows = [{ start = 08:30:00, end = 16:30:00 }] }",
     'last_day = 2012-12-20, windows = [{ weekdays = ["sat"] },\n { weekdays = ["fri"] }] }',
     'weekdays = ["fri"]', "never fall on a day that fits"),
    (EVERYDAY, "when = { first_day = 2013-04-15", 'when = { days = ["workday"], first_day = 1990-04-15',
     'days = ["workday"]', "the holidays of 1990 are not known"),
    (WINTER, FILM_DAYS, f"{FILM_DAYS}, blackout = [2013-02-21]", "blackout", "outside the offer's own days"),
    (WINTER, FILM_DAYS, f"{FILM_DAYS}, blackout = [2013-02-10, 2013-02-10]", "blackout", "names 2013-02-10 twice"),
    (WINTER, 'haircut voucher" }\nlast_day = 2013-02-20', 'haircut voucher" }\nlast_day = 2012-12-24',
     "last_day = 2012-12-24", "voids the voucher before the offer begins"),
    (EVERYDAY, FREE_BINDING, 'when = { since = { event = "redeemed", offer = "bookshop", months = 6 } }',
     'offer = "bookshop", months', "needs itself first"),
    (EVERYDAY, FREE_BINDING, 'when = { since = { event = "redeemed", offer = "bookshop-binding", days = 3 } }',
     'offer = "bookshop-binding", days', "needs itself first"),
    (EVERYDAY, SINCE_BINDING, SINCE_BINDING.replace("bookshop-binding", "aquarium"),
     'offer = "aquarium", months', "sold at none of its merchants"),
    (EVERYDAY, FREE_BINDING, 'when = { days = ["public-holiday"], first_day = 2013-03-04, last_day = 2013-03-08 }',
     'offer = "bookshop-binding", months', "is itself never open"),
    (WINTER, TICKETS, TICKETS.replace("campaign", "day")
     + ',\n{ id = "season", max = 1, count = "units", per = ["person"], window = "campaign", offline = "flag" }',
     'id = "tickets"', "the wider limit season allows 1 in all"),
    (WINTER, POOL_20000, POOL_20000.replace("20000", "1"), 'id = "tickets"', "the wider limit pool allows 1 in all"),
    (WINTER, PURCHASE, PURCHASE.replace("max = 1", "max = 5"), 'id = "purchase"', "the wider limit tickets"),
    (WINTER, TICKETS, TICKETS.replace("flag", "lease"), 'id = "tickets"', "suits a citywide pool"),
    (WINTER, LAUNDRY_LIMIT, LAUNDRY_LIMIT.replace('"uses"', '"units"') + ', per = ["merchant"], window = "ever", '
     'offline = "refuse" },\n{ id = "more", max = 1, count = "uses"', 'offline = "refuse"', "suits a citywide pool"),
    (EVERYDAY, 'per = ["voucher"]', 'per = ["person"]', 'kind = "voucher"', "lets one voucher be used again and again"),
    (WINTER, 'unless_proof = "transit-card"', 'unless_proof = "id-card"', "unless_proof", "the fee is never charged"),
    (WINTER, "amount_fen = 300", "amount_fen = 0", "amount_fen = 0", "is a fee of nothing"),
    (WINTER, HALF, 'price = { kind = "by_category", rates = { park-annual-pass = '
     '{ kind = "fixed_unit", unit_fen = 20000 } } }\nlimits', "rates", "is not below its list price 20000"),
    (WINTER, HALF, 'price = { kind = "by_category", rates = { park-annual-pass = '
     '{ kind = "flat_up_to", pay_fen = 900, covers_fen = 900 } } }\nlimits', "rates", "is not below what it covers"),
    (EVERYDAY, 'price = { kind = "pay_percent", pay_bp = 7000 }\n', tiers("list_fen", (100, 9000), (200, 9500)),
     "pay_bp = 9500", "makes more no cheaper"),
    (WINTER, HALF, 'price = { kind = "nth_free", every = 3, over = "sale" }\nlimits', "every = 3", "is never reached"),
    (WINTER, HALF, 'price = { kind = "tiers", by = "units", steps = [{ from = 2, pay_bp = 5000 }] }\nlimits',
     "steps", "is never reached"),
    (WINTER, "list_fen = 20000", "list_fen = 0", 'price = { kind = "pay_percent"',
     "everything it is for costs nothing"),
    (WINTER, HALF, 'price = { kind = "flat_up_to", pay_fen = 20000, covers_fen = 30000 }\nlimits', "pay_fen",
     "no bill exceeds 20000"),
    (WINTER, FLAT, "covers_fen = 3000 }\nsaving_max_fen = 2000", "saving_max_fen", "no bill saves more than 2000"),
    (WINTER, HALF, "saving_max_fen = 20000\n" + HALF, "saving_max_fen", "no bill saves more than 20000"),
    (WINTER, 'any = { purchase = ["new", "renewal"] } }', 'any = { purchase = ["new"] }, min_spend_fen = 20001 }',
     "min_spend_fen", "no bill comes to more than 20000"),
    (WINTER, 'categories = ["laundry"] }', 'categories = ["laundry"], min_spend_fen = 3001 }',
     "min_spend_fen", "above what the flat price covers, 3000"),
    (EVERYDAY, 'combines = { group = "hospital-bill" }\n\n[[offers.proof]]', "[[offers.proof]]",
     'id = "hospital-insured"', 'competes with hospital for registration'),
    (WINTER, FILM_DAYS, FILM_DAYS.replace("2013-02-20", "2013-02-28"), "2013-02-20", "which has 2013-02-28"),
    (WINTER, PASS_LIMIT, PASS_LIMIT + ',\n{ id = "money", max = 9999, count = "fen", per = ["campaign"], '
     'window = "day", offline = "local" }', 'id = "money"', "is never enough: one unit alone saves 10000"),
    (WINTER, HALF + " = [", 'price = { kind = "free" }\nsaving_max_fen = 5000\nlimits = [{ id = "money", max = 4999, '
     'count = "fen", per = ["campaign"], window = "day", offline = "local" },\n', "money", "one unit alone saves 5000"),
    (EVERYDAY, VISIT, VISIT.replace("zhongtibeili", "aquarium"), 'takes = { offer = "gym-pack" }',
     "takes from gym-pack, sold at none of its merchants"),
    (EVERYDAY, 'what = { categories = ["gym-pack"] }', 'what = { categories = ["gym-pack"] }\n'
     'when = { days = ["public-holiday"], first_day = 2013-03-04, last_day = 2013-03-08 }',
     'takes = { offer = "gym-pack" }', "takes from gym-pack, which is itself never open"),
    (WINTER, 'en = "laundry" }', 'en = "洗衣" }', 'en = "洗衣" }', "is not English"),
    (WINTER, '{ zh = "身份证"', '{ zh = "ID card"', '{ zh = "ID card"', "is not Chinese"),
    (WINTER, "[categories.haircut]", '[categories.perm]\nname = { zh = "烫发", en = "perms" }\n'
     'unit = { zh = "次", en = "perm(s)" }\n\n[categories.haircut]', "[categories.perm]", "a category of no offer"),
    (WINTER, ', any = { purchase = ["new", "renewal"] } }', " }", "[attributes.purchase]", "that no offer asks"),
    (WINTER, '"manrui", ', "", 'id = "manrui"', "a merchant without any offer"),
    (WINTER, '"manrui", ', '"manrui", "manrui", ', '"manrui", "manrui"', "names manrui twice"),
    (WINTER, 'where = { merchants = ["parks"] }', 'where = { merchants = ["parks"], sites = ["parks/beihai"] }',
     "parks/beihai", "whose whole merchant is named already"),
]  # fmt: skip


def found_in(book: str, old: str, new: str, tmp_path: Path) -> tuple[tuple[Finding, ...], str]:
    published = (BOOKS / book).read_text(encoding="utf-8")
    assert published.count(old) >= 1, old
    text = published.replace(old, new, 1)
    draft = tmp_path / "draft.toml"
    draft.write_text(text, encoding="utf-8")
    assert load_book(draft).offers  # a doubt keeps no book from being used
    return check_book(draft), text


def shown(lines: Sequence[str], number: int) -> str:
    """The line told of; a header together with its table's first keys."""
    line = lines[number - 1]
    return "\n".join(lines[number - 1 : number + 2]) if line.startswith("[[") else line


@pytest.mark.parametrize(("book", "old", "new", "line", "words"), DOUBTS)
def test_doubt_is_told_on_its_line(book: str, old: str, new: str, line: str, words: str, tmp_path: Path) -> None:
    findings, text = found_in(book, old, new, tmp_path)
    told = [finding for finding in findings if words in finding.text("en")]
    assert told, [finding.text("en") for finding in findings]
    lines = text.splitlines()
    assert any(finding.line and line in shown(lines, finding.line) for finding in told), [f.text("en") for f in told]
    assert {finding.severity for finding in findings} == {"warning"}
    for finding in findings:
        assert finding.advice, f"nothing is suggested: {finding.text('en')}"
        assert finding.text("zh").endswith(f"；建议：{finding.advice.zh}")
        assert finding.text("en").endswith(f"; {finding.advice.en}")


@pytest.mark.parametrize("book", sorted(path.name for path in BOOKS.glob("*.toml")))
def test_published_books_leave_no_doubt(book: str) -> None:
    assert [finding.text("en") for finding in check_book(BOOKS / book)] == []
