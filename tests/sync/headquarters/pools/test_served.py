"""Leases, holds and usage over signed HTTP; the numbers, the page and the buttons for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sync.headquarters import fleet
from sync.headquarters.app import create_app
from sync.headquarters.books.stages import Target
from sync.headquarters.door import headquarters_key
from sync.headquarters.people import audit
from sync.headquarters.pools.holds import HOLD_LIFE_S
from sync.headquarters.pools.views import detail_of, pools_shown
from sync.headquarters.storage import Storage, open_storage
from sync.signing import DeviceKey, HttpRequest, HttpResponse, sign_request
from sync.wire import encode_message, parse_message
from sync.wire_grants import (
    HOLDS_PATH,
    HoldAnswer,
    HoldKey,
    HoldRequest,
    LeaseAnswer,
    LeaseReport,
    hold_path,
    leases_path,
)
from sync.wire_usage import decode_usage, usage_path
from terminal.offers.book import LoadedBook, parse_book
from tests.sync.headquarters.books.campaign import EDITOR, WINTER, desk_of, released
from tests.sync.headquarters.client import HandClock, SigningTerminal, add_operator, hq_settings, served, sign_in
from tests.sync.headquarters.pools.city import City, book
from tests.sync.headquarters.written_ledger import NOON, redemption_id

PLACE = {"merchant": "gongren-julebu", "site": "hufang-lu"}


class Served:
    """One headquarters with the winter book released, and one terminal of a cinema."""

    def __init__(self, client: Any, storage: Storage, clock: HandClock, directory: Path) -> None:
        self.client, self.storage, self.clock = client, storage, clock
        self.key = headquarters_key(directory).public
        self.terminal = SigningTerminal(client, clock, "bj-0001")
        self.book = LoadedBook.of(parse_book(WINTER, "toml"))
        site = next(merchant for merchant in self.book.book.merchants if merchant.id == PLACE["merchant"]).sites[0].id
        with storage.write() as connection:
            keys = {"public_key": self.terminal.key.public.hex(), "version": "1", "now": NOON}
            fleet.add(connection, terminal="bj-0001", merchant=PLACE["merchant"], site=site, **keys)

    def get(self, path: str, method: str = "GET") -> HttpResponse:
        request = HttpRequest(method, str(self.client.base_url.join(path)), {}, b"")
        signature = sign_request(
            request,
            key=self.terminal.key,
            key_id="bj-0001",
            now=self.clock.now,
            nonce=DeviceKey.generate().public.hex(),
        )
        return self.terminal.send(HttpRequest(method, request.url, signature, b""))

    def post(self, path: str, message: Any) -> HttpResponse:
        return self.terminal.send(self.terminal.signed(path, encode_message(message)))


@pytest.fixture
def hq(database_url: str, tmp_path: Path) -> Iterator[Served]:
    add_operator(tmp_path)
    clock = HandClock(NOON.replace(year=2012, month=12, day=26))
    storage = open_storage(database_url, tmp_path)
    desk = desk_of(storage, tmp_path, clock)
    made = released(desk)
    desk.roll_out(EDITOR, made.revision, Target(everywhere=True))
    with served(create_app(hq_settings(tmp_path, database_url), clock)) as client:
        yield Served(client, storage, clock, tmp_path)
    storage.close()


def report(generation: int = 0, monotonic_ms: int = 1) -> LeaseReport:
    return LeaseReport(terminal="bj-0001", generation=generation, boot="b1", monotonic_ms=monotonic_ms, sequence=0)


def test_a_terminal_leases_holds_and_hears_over_signed_requests(hq: Served) -> None:
    granted = hq.post(leases_path("bj-0001"), report())
    assert granted.status == 200, granted.body
    assert hq.terminal.proves(granted, hq.key)
    answer = parse_message(LeaseAnswer, granted.body)
    pools = [grant for grant in answer.grants if grant.limit == "pool"]
    assert pools
    assert all(grant.granted > 0 for grant in pools)
    read = parse_message(LeaseAnswer, hq.get(leases_path("bj-0001")).body)
    assert read.grants == answer.grants
    offer = pools[0].offer
    asked = HoldRequest(
        terminal="bj-0001",
        redemption=redemption_id(1),
        boot="b1",
        monotonic_ms=2,
        offer=offer,
        revision=1,
        units=2,
        keys=(HoldKey(key=f"{offer}|tickets|card=v1:aa|campaign=x", amount=2, max=2),),
    )
    held = parse_message(HoldAnswer, hq.post(HOLDS_PATH, asked).body)
    assert (held.granted, held.life_s) == (True, HOLD_LIFE_S)
    gone = hq.get(hold_path(asked.redemption, "bj-0001", 1), "DELETE")
    assert gone.status == 200, gone.body
    head, pairs = decode_usage(hq.get(usage_path("bj-0001")).body)
    assert (head.snapshot, pairs) == (True, [])


def test_nobody_speaks_for_another_terminal_and_nothing_odd_is_taken(hq: Served) -> None:
    for method, path in (
        ("POST", leases_path("bj-0001")),
        ("GET", leases_path("bj-0001")),
        ("GET", usage_path("bj-0001")),
        ("DELETE", hold_path(redemption_id(1), "bj-0001", 1)),
    ):
        body = encode_message(report()) if method == "POST" else b""
        assert hq.client.request(method, path, content=body).status_code == 401, path
        stranger = path.replace("bj-0001", "bj-0002")
        answer = hq.terminal.send(hq.terminal.signed(stranger, body)) if method == "POST" else hq.get(stranger, method)
        assert answer.status == 401, path
    for query in ("after=x", "after=1", "after=&cursor=zz"):
        odd = hq.get(usage_path("bj-0001").partition("?")[0] + "?" + query)
        assert (odd.status, json.loads(odd.body)["code"]) == (422, "message-malformed"), query


def test_people_see_the_pools_and_settle_them(hq: Served) -> None:
    hq.post(leases_path("bj-0001"), report())
    assert hq.client.get("/api/v1/pools").status_code == 401
    sign_in(hq.client)
    pools = hq.client.get("/api/v1/pools").json()["pools"]
    assert pools
    offer = pools[0]["offer"]
    detail = hq.client.get(f"/api/v1/offers/{offer}/pool").json()["pools"][0]
    assert detail["slices"][0]["terminal"] == "bj-0001"
    assert detail["points"][-1]["allotted"] == detail["pool"]["unspent"] > 0
    assert hq.client.get("/api/v1/offers/none/pool").json()["code"] == "pool-missing"
    assert hq.client.post("/api/v1/terminals/none/grants/release").json()["code"] == "terminal-missing"
    early = hq.client.post("/api/v1/terminals/bj-0001/grants/write-off")
    assert (early.status_code, early.json()["code"]) == (409, "lease-running")
    hq.clock.now += timedelta(days=5)
    sign_in(hq.client)
    back = hq.client.post("/pools/terminals/bj-0001", data={"action": "write-off", "offer": offer})
    assert back.status_code in (200, 303)
    assert hq.client.get(f"/api/v1/offers/{offer}/pool").json()["pools"][0]["pool"]["unspent"] == 0
    with hq.storage.read() as connection:
        assert "grants-written-off" in {row.action for row in audit.page_of_audit(connection)}


def test_the_pages_say_everything_in_both_languages(hq: Served) -> None:
    hq.post(leases_path("bj-0001"), report())
    sign_in(hq.client)
    offer = hq.client.get("/api/v1/pools").json()["pools"][0]["offer"]
    for language in ("zh", "en"):
        hq.client.cookies.set("jingka_language", language)
        assert "pool-bar" in hq.client.get("/pools").text
        page = hq.client.get(f"/pools/{offer}").text
        assert "bj-0001" in page
        assert "data-pool-chart" in page
        assert "pools." not in page, "a word that the catalogue lacks"
    assert hq.client.get("/pools/none").status_code == 404


def test_a_city_that_sells_has_a_forecast(storage: Storage) -> None:
    city = City(storage, 2, book(60))
    for _ in range(6):
        for till in city.tills:
            city.exchange(till)
            city.sell(till, 1)
        city.pass_s(300)
    with storage.read() as connection:
        found = pools_shown(connection, city.now)
        detail = detail_of(connection, "film", city.now)[0]
    assert found[0].used >= 8
    assert found[0].last_at is not None
    assert found[0].last_at > city.now
    assert [point.used for point in detail.points] == sorted(point.used for point in detail.points)
    assert len(detail.points) >= 5
