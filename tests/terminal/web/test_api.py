from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
import uuid_utils

from terminal.ledger.errors import LedgerFull
from terminal.offers.sale import SALE_LINES_MAX
from terminal.serving.hub import SUBSCRIBERS_MAX
from terminal.web.messages import ATTRIBUTES_MAX, PROOFS_MAX
from tests.fakes.till import CARDS, Till, away
from tests.terminal.web.sale import TICKETS, authorised, completed, quoted

pytestmark = pytest.mark.anyio


# Signing in -----------------------------------------------------------------------------------------------------------


async def test_signing_in_sets_the_cookie_and_says_who(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/api/v1/session", json={"cashier": "m01", "pin": "4321"})
    assert answer.json() == {"cashier": "m01", "name": "李强", "role": "manager"}
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert (await stranger.get("/api/v1/presentation")).status_code == 204


async def test_signing_out_ends_it_and_is_harmless_twice(cashier: httpx.AsyncClient) -> None:
    assert (await cashier.delete("/api/v1/session")).status_code == 204
    assert (await cashier.delete("/api/v1/session")).status_code == 204
    assert (await cashier.get("/api/v1/presentation")).status_code == 401


async def test_a_wrong_pin_is_refused(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/api/v1/session", json={"cashier": "c01", "pin": "0000"})
    assert (answer.status_code, answer.json()["code"]) == (401, "pin-wrong")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/presentation"),
        ("GET", "/events"),
        ("POST", "/quotes"),
        ("POST", "/redemptions"),
        ("POST", "/redemptions/x/complete"),
        ("POST", "/redemptions/x/cancel"),
        ("POST", "/redemptions/x/void"),
        ("GET", "/redemptions"),
    ],
)
async def test_nothing_is_told_or_done_without_a_sign_in(stranger: httpx.AsyncClient, method: str, path: str) -> None:
    bodies: dict[str, Any] = {
        "/quotes": {"presentation": "x", "offer": "x", "lines": []},
        "/redemptions": {"id": "x", "quote": "x"},
        "/redemptions/x/void": {"reason": "x"},
    }
    body = bodies.get(path) if method == "POST" else None
    answer = await stranger.request(method, "/api/v1" + path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "sign-in-required")


# The card -------------------------------------------------------------------------------------------------------------


async def test_no_card_is_no_content(cashier: httpx.AsyncClient) -> None:
    answer = await cashier.get("/api/v1/presentation")
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_members_card_shows_what_it_may_have(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    told = (await cashier.get("/api/v1/presentation")).json()
    assert told["masked"] == "**** 0021"
    assert (told["standing"], told["member_class"], told["entry_mode"]) == ("active", "ordinary", "contactless")
    film = told["offers"][0]
    assert (film["offer"], film["name"], film["eligible"], film["remaining"]) == ("winter-film", "十元电影票", True, 2)
    assert [ask["name"] for ask in film["asks"]] == ["quantity", "list_price", "format"]
    assert told["notice"] is None


@pytest.mark.parametrize(
    ("card", "standing"),
    [("suspended", "suspended"), ("expired", "expired"), ("stranger", "unknown"), ("other-bank", "other-issuer")],
)
async def test_a_card_that_is_not_good_has_reasons(
    cashier: httpx.AsyncClient, till: Till, card: str, standing: str
) -> None:
    till.present(card)
    told = (await cashier.get("/api/v1/presentation", headers={"accept-language": "en"})).json()
    assert told["standing"] == standing
    assert {offer["eligible"] for offer in told["offers"]} == {False}
    assert told["offers"][0]["refusals"][0]["code"] == "not-a-member"
    assert told["offers"][0]["refusals"][0]["text"].startswith("no member price")


async def test_something_that_is_no_card_is_a_notice(cashier: httpx.AsyncClient, till: Till) -> None:
    till.fail()
    told = (await cashier.get("/api/v1/presentation")).json()
    assert (told["standing"], told["notice"]["code"], told["offers"]) == (None, "not-a-card", [])


# Quotes ---------------------------------------------------------------------------------------------------------------


async def test_a_quote_gives_lines_and_sums_and_writes_nothing(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    told = (await quoted(cashier, till)).json()
    assert (told["list"], told["pay"], told["saving"], told["refusals"]) == (16_000, 2_000, 14_000, [])
    assert told["lines"] == [
        {
            "category": "film-ticket",
            "quantity": 2,
            "list_price": 8000,
            "pay": 2000,
            "attributes": {"format": "2d"},
            "trace": told["lines"][0]["trace"],
        }
    ]
    assert told["granted"] == "lease"
    assert till.ledger.last_sequence() == 0


async def test_a_third_ticket_is_refused_with_its_numbers(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    refusals = (await quoted(cashier, till, quantity=3)).json()["refusals"]
    reached = next(refusal for refusal in refusals if refusal["code"] == "limit-reached")
    assert (reached["max"], reached["used"], reached["asked"]) == (2, 0, 3)
    assert "2" in reached["text"]


async def test_a_3d_film_is_excluded(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    refusals = (await quoted(cashier, till, attributes={"format": "3d"})).json()["refusals"]
    assert [refusal["code"] for refusal in refusals] == ["excluded"]


async def test_a_card_that_is_gone_cannot_be_quoted(cashier: httpx.AsyncClient, till: Till) -> None:
    answer = await quoted(cashier, till)
    assert (answer.status_code, answer.json()["code"]) == (409, "presentation-gone")


@pytest.mark.parametrize(
    "change",
    [
        {"lines": [{**TICKETS, "quantity": "2"}]},
        {"lines": [{**TICKETS, "quantity": 2.0}]},
        {"lines": [{**TICKETS, "list_price": 10.5}]},
        {"lines": [{**TICKETS, "quantity": 2**53}]},
        {"lines": [{**TICKETS, "price": 1}]},
        {"lines": [{**TICKETS, "attributes": {f"a{n}": "x" for n in range(ATTRIBUTES_MAX + 1)}}]},
        {"lines": [{**TICKETS, "attributes": {"format": "2" * 66}}]},
        {"lines": [TICKETS] * (SALE_LINES_MAX + 2)},
        {"proofs": {f"p{n}": True for n in range(PROOFS_MAX + 1)}},
        {"offer": ""},
        {"offer": None},
        {"presentation": "x" * 65},
    ],
)
async def test_a_malformed_quote_names_where(cashier: httpx.AsyncClient, change: dict[str, Any]) -> None:
    body = {"presentation": "x", "offer": "winter-film", "lines": [TICKETS], "proofs": {}, **change}
    answer = await cashier.post("/api/v1/quotes", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request-invalid")
    assert answer.json()["errors"][0]["at"].startswith(next(iter(change)))


# Redemptions ----------------------------------------------------------------------------------------------------------


async def test_the_same_id_again_gives_the_same_answer(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    quote = (await quoted(cashier, till)).json()["quote"]
    wanted = {"id": str(uuid_utils.uuid7()), "quote": quote}
    first = await cashier.post("/api/v1/redemptions", json=wanted)
    again = await cashier.post("/api/v1/redemptions", json=wanted)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (first.json()["state"], first.json()["pay"], first.json()["sequence"]) == ("authorised", 2000, 1)
    assert till.ledger.last_sequence() == 1


async def test_a_refused_sale_is_409_with_its_reasons(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    quote = (await quoted(cashier, till, quantity=3)).json()["quote"]
    answer = await cashier.post("/api/v1/redemptions", json={"id": str(uuid_utils.uuid7()), "quote": quote})
    assert (answer.status_code, answer.json()["code"]) == (409, "sale-refused")
    assert answer.json()["refusals"][0]["code"] == "limit-reached"
    assert till.ledger.last_sequence() == 0


@pytest.mark.parametrize(
    ("redemption", "status", "code"),
    [
        ("7", 422, "redemption-id-invalid"),
        ("2b0d4cf4-8b1f-4c4e-9d1e-6f0b2f6d3c11", 422, "redemption-id-invalid"),
        ("01940000-0000-7000-8000-000000000000", 409, "quote-expired"),
    ],
)
async def test_a_redemption_needs_its_id_and_its_quote(
    cashier: httpx.AsyncClient, redemption: str, status: int, code: str
) -> None:
    answer = await cashier.post("/api/v1/redemptions", json={"id": redemption, "quote": "unknown"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("body", [None, {}, {"pos_reference": None}, {"pos_reference": "123456789012"}])
async def test_completing_is_harmless_twice(cashier: httpx.AsyncClient, till: Till, body: object) -> None:
    redemption = await authorised(cashier, till)
    first = await cashier.post(f"/api/v1/redemptions/{redemption}/complete", json=body)
    again = await cashier.post(f"/api/v1/redemptions/{redemption}/complete", json=body)
    assert first.json() == again.json()
    assert first.json()["state"] == "completed"
    assert till.ledger.last_sequence() == 2


@pytest.mark.parametrize("reference", ["12345678901", "1234567890123", "12345678901x", "", 123456789012])
async def test_a_pos_reference_has_twelve_digits(cashier: httpx.AsyncClient, till: Till, reference: object) -> None:
    redemption = await authorised(cashier, till)
    path = f"/api/v1/redemptions/{redemption}/complete"
    assert (await cashier.post(path, json={"pos_reference": reference})).status_code == 422
    assert till.ledger.last_sequence() == 1


async def test_cancelling_gives_the_tickets_back(cashier: httpx.AsyncClient, till: Till) -> None:
    redemption = await authorised(cashier, till)
    cancelled = await cashier.post(f"/api/v1/redemptions/{redemption}/cancel")
    assert (cancelled.json()["state"], cancelled.json()["reason"]) == ("cancelled", "not-paid")
    assert (await cashier.post(f"/api/v1/redemptions/{redemption}/cancel")).status_code == 200
    assert (await cashier.post(f"/api/v1/redemptions/{redemption}/complete")).json()["code"] == "redemption-conflict"
    await authorised(cashier, till)


async def test_only_a_manager_voids_and_units_come_back_one_by_one(
    cashier: httpx.AsyncClient, manager: httpx.AsyncClient, till: Till
) -> None:
    redemption = await completed(cashier, till)
    path = f"/api/v1/redemptions/{redemption}/void"
    refused = await cashier.post(path, json={"reason": "打错"})
    assert (refused.status_code, refused.json()["code"]) == (403, "role-missing")
    one = await manager.post(path, json={"reason": "打错", "units": 1})
    assert (one.json()["state"], one.json()["voided_units"]) == ("completed", 1)
    whole = await manager.post(path, json={"reason": "打错"})
    assert (whole.json()["state"], whole.json()["voided_units"]) == ("voided", 2)


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": " "}, {"reason": "x", "units": 0}])
async def test_a_void_needs_a_reason(manager: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await manager.post("/api/v1/redemptions/x/void", json=body)).status_code == 422


@pytest.mark.parametrize("step", ["complete", "cancel"])
async def test_an_unknown_redemption_is_not_found(cashier: httpx.AsyncClient, step: str) -> None:
    answer = await cashier.post(f"/api/v1/redemptions/01940000-0000-7000-8000-000000000000/{step}")
    assert (answer.status_code, answer.json()["code"]) == (404, "redemption-unknown")


async def test_a_stopped_ledger_stops_sales_with_its_hint(
    cashier: httpx.AsyncClient, till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LedgerFull("authorise", "ledger")

    monkeypatch.setattr(till.ledger, "authorise", full)
    till.present("member")
    quote = (await quoted(cashier, till)).json()["quote"]
    answer = await cashier.post("/api/v1/redemptions", json={"id": str(uuid_utils.uuid7()), "quote": quote})
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "ledger-full", "stop")
    assert "磁盘" in answer.json()["title"]


async def test_the_days_redemptions(cashier: httpx.AsyncClient, till: Till) -> None:
    redemption = await completed(cashier, till)
    for query in ("", "?day=2012-12-25"):
        told = (await cashier.get(f"/api/v1/redemptions{query}")).json()
        assert told["day"] == "2012-12-25"
        assert [(each["id"], each["name"], each["cashier"]) for each in told["redemptions"]] == [
            (redemption, "十元电影票", "c01")
        ]
    assert (await cashier.get("/api/v1/redemptions?day=2012-12-24")).json()["redemptions"] == []
    assert (await cashier.get("/api/v1/redemptions?day=yesterday")).json()["code"] == "request-invalid"


# Live events ----------------------------------------------------------------------------------------------------------


async def test_more_streams_than_the_bound_are_refused(cashier: httpx.AsyncClient, till: Till) -> None:
    streams = [till.hub.stream(list) for _ in range(SUBSCRIBERS_MAX)]
    for stream in streams:
        await anext(stream)
    answer = await cashier.get("/api/v1/events")
    assert (answer.status_code, answer.json()["code"]) == (503, "too-many-streams")
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]


async def test_a_stream_begins_with_the_card_that_lies_there(cashier: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    reading = asyncio.create_task(cashier.get("/api/v1/events"))
    async with asyncio.timeout(5):
        while till.hub.subscribers == 0:
            await asyncio.sleep(0)
    till.hub.publish("reader", {"name": "virtual", "state": "missing"})
    till.hub.close()
    answer = await reading
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    names = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert names == ["presentation", "reader"]
    assert '"masked":"**** 0021"' in answer.text


# For machines ---------------------------------------------------------------------------------------------------------


async def test_health_needs_no_sign_in_and_shows_nobody(stranger: httpx.AsyncClient, till: Till) -> None:
    till.present("member")
    assert (await stranger.get("/healthz")).json() == {
        "status": "ok",
        "readers": [{"name": "virtual", "state": "ready"}],
        "headquarters": {"online": True, "waiting": 0, "oldest_s": None},
        "ledger": {"sequence": 0},
        "book": {"revision": 1},
    }


async def test_health_is_degraded_while_headquarters_is_away(stranger: httpx.AsyncClient, till: Till) -> None:
    away(till, LedgerFull("push", "headquarters"))
    told = (await stranger.get("/healthz")).json()
    assert told["status"] == "degraded"
    assert told["headquarters"] == {"online": False, "waiting": 7, "oldest_s": 754}


async def test_metrics_are_prometheus_text(stranger: httpx.AsyncClient, till: Till) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    away(till, LedgerFull("push", "headquarters"))
    answer = await stranger.get("/metrics")
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert values["jingka_wait_queue_entries",] == 7
    assert values["jingka_headquarters_online",] == 0
    assert values["jingka_reader_working", "virtual"] == 1
    assert values["jingka_terminal_info", "t01", "0.1.0"] == 1


async def test_the_schema_names_every_promised_call(stranger: httpx.AsyncClient) -> None:
    paths = (await stranger.get("/openapi.json")).json()["paths"]
    promised = {
        "/healthz": {"get"},
        "/metrics": {"get"},
        "/api/v1/session": {"post", "delete"},
        "/api/v1/presentation": {"get"},
        "/api/v1/events": {"get"},
        "/api/v1/quotes": {"post"},
        "/api/v1/redemptions": {"post", "get"},
        "/api/v1/redemptions/{redemption}/complete": {"post"},
        "/api/v1/redemptions/{redemption}/cancel": {"post"},
        "/api/v1/redemptions/{redemption}/void": {"post"},
    }
    assert {path: set(paths[path]) for path in promised} == promised


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_no_page_that_loads_scripts_from_elsewhere_is_served(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(path)).status_code == 404


# The demonstration ----------------------------------------------------------------------------------------------------


async def test_a_visitor_plays_the_cards(stranger: httpx.AsyncClient, till: Till) -> None:
    assert [card["name"] for card in (await stranger.get("/demo/cards")).json()] == list(CARDS)
    assert (await stranger.post("/demo/cards/member/present")).status_code == 204
    assert till.counter.presentation is not None
    assert (await stranger.post("/demo/cards/remove")).status_code == 204
    assert till.counter.presentation is None
    assert (await stranger.post("/demo/cards/nobody/present")).json()["code"] == "no-such-card"


async def test_outside_the_demonstration_there_are_no_cards(till: Till, people_file: Any) -> None:
    from terminal.serving.people import People
    from terminal.web.app import create_app

    app = create_app(till.parts(People.load(people_file)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8520") as client:
        assert (await client.get("/demo/cards")).status_code == 404
        assert (await client.post("/demo/cards/member/present")).status_code == 404


@pytest.mark.parametrize("path", ["/demo/cards/member/present", "/demo/cards/remove", "/api/v1/session"])
async def test_a_strangers_page_can_do_nothing(stranger: httpx.AsyncClient, till: Till, path: str) -> None:
    answer = await stranger.post(path, headers={"origin": "http://evil.example", "sec-fetch-site": "cross-site"})
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign-request")
    assert till.counter.presentation is None
