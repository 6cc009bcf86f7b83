"""What people at headquarters ask over HTTP, and what is refused them; live events; bad input of every kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.places import PEOPLE_FILE
from sync.headquarters import reports
from sync.headquarters.app import create_app
from sync.headquarters.ingest import ingest
from sync.headquarters.money.record import settle
from sync.headquarters.reports import REDEMPTIONS_PAGE_MAX
from sync.headquarters.storage import Storage, open_storage
from terminal.serving.people import Person, Role, add_person
from tests.sync.headquarters.client import (
    OPERATOR_PIN,
    HandClock,
    SigningTerminal,
    add_operator,
    hq_settings,
    served,
    sign_in,
)
from tests.sync.headquarters.written_ledger import MERCHANT, NOON, WrittenLedger, known_ledger, redemption_id


@dataclass
class Scene:
    """One headquarters with an operator; `client` has not signed in."""

    client: httpx.Client
    clock: HandClock
    storage: Storage
    terminal: SigningTerminal
    ledger: WrittenLedger

    def take(self, ledger: WrittenLedger) -> None:
        """All of a ledger into the database, past the web."""
        with self.storage.write() as connection:
            ingest(connection, ledger.batch(), now=self.clock.now, judges=(settle,))


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[Scene]:
    add_operator(tmp_path)
    clock = HandClock()
    storage = open_storage(database_url, tmp_path)
    with served(create_app(hq_settings(tmp_path, database_url), clock)) as client:
        terminal = SigningTerminal(client, clock, "bj-0001")
        ledger = known_ledger(storage, "bj-0001", terminal.key.public.hex())
        yield Scene(client, clock, storage, terminal, ledger)
    storage.close()


@pytest.fixture
def signed_in(scene: Scene) -> Scene:
    sign_in(scene.client)
    return scene


PATHS = (
    ("GET", "/api/v1/terminals"),
    ("GET", "/api/v1/redemptions"),
    ("GET", "/api/v1/merchants/totals"),
    ("GET", "/api/v1/conflicts"),
    ("GET", "/api/v1/events"),
    ("POST", "/api/v1/terminals/bj-0001/revoke"),
    ("POST", "/api/v1/enrolment-codes"),
)
INVITATION = {"terminal": "bj-0200", "merchant": MERCHANT, "site": "平谷"}


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_nobody_sees_anything_without_signing_in(scene: Scene, method: str, path: str) -> None:
    answer = scene.client.request(method, path, json=INVITATION if method == "POST" else None)
    assert (answer.status_code, answer.json()["code"]) == (401, "sign-in-required")
    sign_in(scene.client, "c01", "1234")
    answer = scene.client.request(method, path, json=INVITATION if method == "POST" else None)
    assert (answer.status_code, answer.json()["code"]) == (403, "role-missing")


def test_signing_in_and_out(scene: Scene) -> None:
    wrong = scene.client.post("/api/v1/session", json={"person": "op1", "pin": "0000"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "pin-wrong")
    sign_in(scene.client)
    assert scene.client.get("/api/v1/terminals").status_code == 200
    assert scene.client.delete("/api/v1/session").status_code == 204
    assert scene.client.get("/api/v1/terminals").status_code == 401


def test_health_needs_no_sign_in_and_tells_nothing_personal(scene: Scene) -> None:
    assert scene.client.get("/healthz").json() == {"status": "ok"}


def test_redemptions_by_day_and_merchant_page_by_page(signed_in: Scene) -> None:
    for number in range(1, 8):
        other = {"merchant": "别家", "business_day": "2026-01-06"} if number > 5 else {}
        signed_in.ledger.authorise(number, **other)
    signed_in.take(signed_in.ledger)

    def ids(**query: Any) -> tuple[list[str], str | None]:
        page = signed_in.client.get("/api/v1/redemptions", params=query).json()
        return [each["id"] for each in page["redemptions"]], page["next"]

    assert ids(day="2026-01-05", limit=3) == ([redemption_id(n) for n in (5, 4, 3)], redemption_id(3))
    assert ids(day="2026-01-05", limit=3, before=redemption_id(3)) == ([redemption_id(n) for n in (2, 1)], None)
    assert ids(merchant="别家") == ([redemption_id(n) for n in (7, 6)], None)
    assert ids(merchant="别家", day="2026-01-05") == ([], None)
    assert len(ids()[0]) == 7


def test_a_redemption_is_told_whole_and_without_its_member_s_token(signed_in: Scene) -> None:
    signed_in.ledger.authorise(1)
    signed_in.take(signed_in.ledger)
    answer = signed_in.client.get("/api/v1/redemptions")
    assert "ab" * 32 not in answer.text
    told = answer.json()["redemptions"][0]
    assert told == {
        "id": redemption_id(1),
        "terminal": "bj-0001",
        "sequence": 1,
        "merchant": MERCHANT,
        "site": "虎坊路",
        "offer": "winter-film",
        "offer_name": {"zh": "冬季看电影", "en": "Winter film"},
        "state": "authorised",
        "units": 2,
        "voided_units": 0,
        "list": 8000,
        "pay": 2000,
        "masked": "••••0021",
        "cashier": "c01",
        "granted": "local",
        "entry_mode": "contact",
        "approved_by": None,
        "business_day": "2026-01-05",
        "authorised_at": "2026-01-05T04:00:01Z",
        "arrived_at": "2026-01-05T04:00:00Z",
        "changed_at": "2026-01-05T04:00:00Z",
    }


def test_a_typed_card_number_is_marked_with_who_approved_it_in_the_api_and_on_the_page(signed_in: Scene) -> None:
    signed_in.ledger.authorise(1, entry_mode="manual", authenticity_reason="typed", approved_by="m01")
    signed_in.ledger.authorise(2)  # as every terminal wrote it before there was anything to approve
    signed_in.take(signed_in.ledger)
    told = signed_in.client.get("/api/v1/redemptions").json()["redemptions"]
    assert [(each["entry_mode"], each["approved_by"]) for each in told] == [("contact", None), ("manual", "m01")]
    assert signed_in.client.get("/api/v1/conflicts").json()["conflicts"] == [], "neither form of an entry is unreadable"
    page = signed_in.client.get("/overview/live", params={"from": "2026-01-05", "to": "2026-01-05"}).text
    assert page.count("手工输入") == 1
    assert "m01 批准" in page


def test_totals_count_what_was_completed_less_what_was_voided(signed_in: Scene) -> None:
    ledger = signed_in.ledger
    for number in range(1, 6):
        ledger.authorise(number)
    ledger.complete(1)
    ledger.complete(2)
    ledger.void(2, units=1)
    ledger.complete(3)
    ledger.void(3)
    ledger.cancel(4)
    ledger.authorise(6, merchant="别家", business_day="2026-01-06")
    ledger.complete(6)
    signed_in.take(ledger)

    def totals(**period: str) -> dict[str, Any]:
        told: dict[str, Any] = signed_in.client.get("/api/v1/merchants/totals", params=period).json()
        return told

    first = {"merchant": MERCHANT, "redemptions": 2, "open": 1, "units": 3, "list": 12000, "pay": 3000, "saving": 9000}
    other = {"merchant": "别家", "redemptions": 1, "open": 0, "units": 2, "list": 8000, "pay": 2000, "saving": 6000}
    assert totals() == {"from": "2026-01-05", "to": "2026-01-05", "merchants": [first]}
    assert totals(**{"from": "2026-01-06"})["merchants"] == [other]
    assert sorted(totals(**{"from": "2026-01-05", "to": "2026-01-06"})["merchants"], key=str) == sorted(
        [first, other], key=str
    )


@pytest.mark.parametrize(("first", "last"), [("2025-01-01", "2026-01-02"), ("2026-01-06", "2026-01-05")])
def test_a_period_too_long_or_backwards_is_refused(signed_in: Scene, first: str, last: str) -> None:
    answer = signed_in.client.get("/api/v1/merchants/totals", params={"from": first, "to": last})
    assert (answer.status_code, answer.json()["code"]) == (409, "period-too-long")


def test_the_longest_period_is_a_year(signed_in: Scene) -> None:
    answer = signed_in.client.get("/api/v1/merchants/totals", params={"from": "2024-01-01", "to": "2024-12-31"})
    assert answer.status_code == 200


def test_terminals_are_listed_with_their_state(signed_in: Scene) -> None:
    signed_in.ledger.complete(1)
    signed_in.terminal.push(signed_in.ledger.batch())
    known_ledger(signed_in.storage, "bj-0002")
    page = signed_in.client.get("/api/v1/terminals", params={"limit": 1}).json()
    (told,) = page["terminals"]
    assert page["next"] == "bj-0001"
    assert (told["id"], told["state"], told["last_sequence"], told["flags"]) == ("bj-0001", "active", 1, 1)
    assert (told["last_contact"], told["skew_ms"], told["waiting"]) == ("2026-01-05T04:00:00Z", 0, None)
    rest = signed_in.client.get("/api/v1/terminals", params={"after": page["next"]}).json()
    assert ([each["id"] for each in rest["terminals"]], rest["next"]) == (["bj-0002"], None)


def test_conflicts_are_listed(signed_in: Scene) -> None:
    signed_in.ledger.complete(1)
    signed_in.take(signed_in.ledger)
    (told,) = signed_in.client.get("/api/v1/conflicts").json()["conflicts"]
    assert (told["terminal"], told["sequence"], told["code"]) == ("bj-0001", 1, "without-authorisation")


def test_an_operator_revokes_a_terminal(signed_in: Scene) -> None:
    assert signed_in.client.post("/api/v1/terminals/bj-0001/revoke").status_code == 204
    refused = signed_in.terminal.push(signed_in.ledger.batch())
    assert json.loads(refused.body)["code"] == "terminal-revoked"
    missing = signed_in.client.post("/api/v1/terminals/bj-9999/revoke")
    assert (missing.status_code, missing.json()["code"]) == (404, "terminal-missing")


def test_an_operator_invites_a_terminal(signed_in: Scene) -> None:
    answer = signed_in.client.post("/api/v1/enrolment-codes", json=INVITATION)
    assert answer.status_code == 201
    assert len(answer.json()["code"].replace("-", "")) == 28
    taken = signed_in.client.post("/api/v1/enrolment-codes", json=INVITATION | {"terminal": "bj-0001"})
    assert (taken.status_code, taken.json()["code"]) == (409, "terminal-taken")


BAD_QUERIES = (
    "/api/v1/redemptions?day=2026-02-30",
    "/api/v1/redemptions?day=%00",
    "/api/v1/redemptions?merchant=%00",
    "/api/v1/redemptions?merchant=" + "x" * 65,
    "/api/v1/redemptions?before=%00",
    "/api/v1/redemptions?limit=0",
    f"/api/v1/redemptions?limit={REDEMPTIONS_PAGE_MAX + 1}",
    "/api/v1/terminals?after=%00",
    "/api/v1/terminals?limit=99999999999999999999999",
    "/api/v1/merchants/totals?from=x",
    "/api/v1/conflicts?limit=-1",
)


def test_bad_queries_are_problems_and_no_faults(signed_in: Scene) -> None:
    for path in BAD_QUERIES:
        answer = signed_in.client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (422, "request-invalid"), path


BAD_BODIES = (
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'{"person":1,"pin":"1"}',
    b'{"person":"\\ud800","pin":"1"}',
    b"[" * 100_000,
)


def test_bad_bodies_are_problems_and_no_faults(scene: Scene) -> None:
    for body in BAD_BODIES:
        answer = scene.client.post("/api/v1/session", content=body, headers={"content-type": "application/json"})
        assert 400 <= answer.status_code < 500, body[:20]
        assert answer.headers["content-type"] == "application/problem+json"


def test_bad_invitations_are_refused(signed_in: Scene) -> None:
    for changes in ({"terminal": "../x"}, {"merchant": "a\0b"}, {"site": ""}, {"more": 1}):
        answer = signed_in.client.post("/api/v1/enrolment-codes", json=INVITATION | changes)
        assert (answer.status_code, answer.json()["code"]) == (422, "request-invalid"), changes


def test_a_page_is_cut_to_its_bound(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 6):
        scene.ledger.authorise(number)
    scene.take(scene.ledger)
    monkeypatch.setattr(reports, "REDEMPTIONS_PAGE_MAX", 3)
    with scene.storage.read() as connection:
        found = reports.page_of_redemptions(connection, day=None, merchant=None, before=None, limit=100)
        assert len(found) == 3
        assert len(reports.latest_arrivals(connection, 100)) == 3


def test_redemptions_are_announced_as_they_arrive(signed_in: Scene) -> None:
    signed_in.ledger.authorise(1)
    with signed_in.client.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry:")
        signed_in.terminal.push(signed_in.ledger.batch())
        told = [next(lines) for _ in range(3)]
    assert "event: redemption" in told
    data = json.loads(next(line for line in told if line.startswith("data:")).removeprefix("data:"))
    assert (data["id"], data["state"], data["pay"]) == (redemption_id(1), "authorised", 2000)
    assert "token" not in data


def test_a_session_that_ended_sees_no_more_events(signed_in: Scene) -> None:
    signed_in.ledger.authorise(1)
    with signed_in.client.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        cookie = signed_in.client.cookies
        assert httpx.delete(f"{signed_in.client.base_url}/api/v1/session", cookies=dict(cookie)).status_code == 204
        signed_in.terminal.push(signed_in.ledger.batch())
        assert not any("redemption" in line for line in lines)


def test_strangers_pages_can_do_nothing(signed_in: Scene) -> None:
    foreign = signed_in.client.post(
        "/api/v1/terminals/bj-0001/revoke", headers={"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    )
    assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign-request")
    rebound = signed_in.client.get("/api/v1/terminals", headers={"host": "evil.example"})
    assert (rebound.status_code, rebound.json()["code"]) == (421, "wrong-host")


def test_late_arrivals_keep_their_day(signed_in: Scene) -> None:
    signed_in.clock.now = NOON + timedelta(days=3)
    signed_in.ledger.authorise(1)
    signed_in.take(signed_in.ledger)
    (told,) = signed_in.client.get("/api/v1/redemptions", params={"day": "2026-01-05"}).json()["redemptions"]
    assert told["arrived_at"].startswith("2026-01-08")


READABLE = [path for method, path in PATHS if method == "GET" and path != "/api/v1/events"]
CHANGES = [path for method, path in PATHS if method == "POST"]


def test_an_auditor_sees_everything_and_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    add_person(tmp_path / PEOPLE_FILE, Person("au1", "赵审", Role.AUDITOR), OPERATOR_PIN)
    sign_in(scene.client, "au1")
    for readable in (*READABLE, "/", "/audit", "/api/v1/audit"):
        assert scene.client.get(readable).status_code == 200, readable
    for change in (*CHANGES, "/api/v1/terminals/bj-0001/rotate-key", "/api/v1/terminals/bj-0001/retire"):
        answer = scene.client.post(change, json=INVITATION)
        assert (answer.status_code, answer.json()["code"]) == (403, "role-missing"), change


def test_what_a_person_changes_is_noted(signed_in: Scene) -> None:
    assert signed_in.client.post("/api/v1/enrolment-codes", json=INVITATION).status_code == 201
    assert signed_in.client.post("/api/v1/terminals/bj-0001/revoke").status_code == 204
    rows = signed_in.client.get("/api/v1/audit").json()["rows"]
    noted = [(row["person"], row["role"], row["action"], row["subject"]) for row in rows]
    assert noted == [
        ("op1", "operator", "terminal-revoked", "bj-0001"),
        ("op1", "operator", "terminal-invited", "bj-0200"),
    ]
