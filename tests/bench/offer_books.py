"""Books of any size for measuring: every offer at one shop, so that nothing of it can be passed over.

`mixed_book` has what campaigns are made of, in turns: prices of five kinds, hours, workdays, blackout days, proofs, and
three limits each. `plain_book` has only what other engines know too: so much per cent off, so often per member.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

from config.zone import SHANGHAI
from terminal.membership.standing import Member, MemberClass, Standing
from terminal.offers.book import LoadedBook, parse_book
from terminal.offers.sale import Place, Sale, SaleLine

PLACE = Place("hall", "main", "till-1")
NOW = datetime(2013, 1, 9, 19, 30, tzinfo=SHANGHAI)  # a Wednesday evening, on which most offers are open
CATEGORIES = 10  # of the mixed book
POOL = 1_000_000
BLACKOUT_DAYS = 30

_PRICES: tuple[dict[str, Any], ...] = (
    {"kind": "fixed_unit", "unit_fen": 1000},
    {"kind": "pay_percent", "pay_bp": 7500},
    {"kind": "flat_up_to", "pay_fen": 3000, "covers_fen": 20_000},
    {"kind": "tiers", "by": "units", "steps": [{"from": 1, "pay_bp": 9000}, {"from": 5, "pay_bp": 8000}]},
    {"kind": "nth_free", "every": 3, "over": "sale"},
)
_WHENS: tuple[dict[str, Any], ...] = (
    {},
    {"windows": [{"weekdays": ["mon", "wed", "fri"], "start": "18:00", "end": "22:00"}, {"weekdays": ["sat", "sun"]}]},
    {"days": ["workday"]},
    {"windows": [{"start": "20:00", "end": "02:00"}]},
)


def member(number: int = 1) -> Member:
    """An active member, one of as many as wanted."""
    token = f"v1:{number:064x}"
    return Member(token, token, Standing.ACTIVE, MemberClass.ORDINARY, date(2012, 12, 1))


def mixed_book(offers: int) -> LoadedBook:
    """So many offers of all kinds."""
    categories = {f"goods-{number}": _words(f"商品{number}", f"goods {number}") for number in range(CATEGORIES)}
    return _loaded(categories, [_mixed_offer(number) for number in range(offers)])


def mixed_sale(offer: str | None, number: int = 0) -> Sale:
    """A bill that the offer of this `number` takes."""
    return Sale(PLACE, offer, (SaleLine(f"goods-{number % CATEGORIES}", 2, 8000, {}),), {"id-card": "A 123"})


def plain_book(pay_percents: list[int], limit: int) -> LoadedBook:
    """Offers for the same goods, each for a share of the list price, each so many times per member."""
    offers = [
        {
            **_offer(number, "goods"),
            "price": {"kind": "pay_percent", "pay_bp": percent * 100},
            "limits": [_limit("times", limit, "uses", ["person"], "ever")],
        }
        for number, percent in enumerate(pay_percents)
    ]
    return _loaded({"goods": _words("商品", "goods")}, offers)


def _mixed_offer(number: int) -> dict[str, Any]:
    offer = _offer(number, f"goods-{number % CATEGORIES}")
    offer["when"] = {**offer["when"], **_WHENS[number % len(_WHENS)], "blackout": _blackout(number)}
    offer["price"] = _PRICES[number % len(_PRICES)]
    offer["limits"] = [
        _limit("a-day", 100, "units", ["person"], "day"),
        _limit("in-all", 1_000, "uses", ["person"], "campaign"),
        _limit("money", 1_000_000_000, "fen", ["campaign"], "campaign", "flag"),
    ]
    if number % 5 == 0:
        offer["proof"] = [{"kind": "number", "name": "id-card", "label": _wording("身份证", "identity card")}]
    return offer


def _offer(number: int, category: str) -> dict[str, Any]:
    return {
        "id": f"offer-{number}",
        "name": _wording(f"优惠{number}", f"offer {number}"),
        "campaign": f"bench-{number}",
        "where": {"merchants": [PLACE.merchant]},
        "what": {"categories": [category]},
        "when": {"first_day": "2012-12-25", "last_day": "2099-12-31"},
    }


def _blackout(number: int) -> list[str]:
    first = date(2013, 2, 1) + timedelta(days=number % 30)
    return [(first + timedelta(days=day)).isoformat() for day in range(BLACKOUT_DAYS)]


def _limit(name: str, most: int, count: str, per: list[str], window: str, offline: str = "local") -> dict[str, Any]:
    return {"id": name, "max": most, "count": count, "per": per, "window": window, "offline": offline}


def _words(zh: str, en: str) -> dict[str, Any]:
    return {"name": _wording(zh, en), "unit": _wording("份", "piece(s)")}


def _wording(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def _loaded(categories: dict[str, Any], offers: list[dict[str, Any]]) -> LoadedBook:
    agreement = {"first_day": "2012-01-01", "last_day": "2099-12-31", "renewal": {"notice_days": 30}}
    site = {"id": PLACE.site, "name": _wording("大厅", "main hall")}
    merchant = {"id": PLACE.merchant, "name": _wording("商户", "merchant"), "agreement": agreement, "sites": [site]}
    plain = {
        "schema": 1,
        "revision": 1,
        "tz": "Asia/Shanghai",
        "categories": categories,
        "offers": offers,
        "merchants": [merchant],
    }
    return LoadedBook.of(parse_book(json.dumps(plain), "json"))
