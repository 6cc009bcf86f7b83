"""The money's API and pages: who may do what, in both languages, and the files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from sync.headquarters.money.document import is_signed_by
from tests.sync.headquarters.money.office import office, sign_in
from tests.sync.headquarters.written_ledger import MERCHANT

AT = f"/api/v1/merchants/{quote(MERCHANT)}"
JAN = f"{AT}/settlements/2026-01"
PAGE = f"/settlement/{quote(MERCHANT)}/2026-01"
YEAR_PAGE = f"/merchants/{quote(MERCHANT)}/year/2026"
FINDING = {"terminal": "bj-0001", "sequence": 1, "code": "over-limit"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    with office(tmp_path) as opened:
        yield opened


READ = (
    "/api/v1/settlements",
    JAN,
    f"{JAN}.csv",
    f"{JAN}.xlsx",
    f"{AT}/terms",
    "/api/v1/conflicts",
    "/api/v1/merchants",
    f"{AT}/year/2026",
    f"{AT}/year/2026.xlsx",
    "/api/v1/complaints",
    "/api/v1/days",
    "/settlement",
    PAGE,
    "/conflicts",
    "/merchants",
    YEAR_PAGE,
    "/days",
)
CHANGE = (
    (f"{JAN}/close", {}, ("fin1",)),
    (f"{AT}/terms", {"first_day": "2026-02-01", "share_bp": 1}, ("fin1",)),
    ("/api/v1/conflicts", {"conflicts": [FINDING], "decision": "accepted"}, ("fin1", "op1")),
    ("/api/v1/complaints", {"merchant": "x", "day": "2026-01-05", "text": "slow"}, ("fin1", "op1")),
)


def test_every_role_reads_what_is_its_own_and_the_auditor_changes_nothing(client: httpx.Client) -> None:
    for path in READ:
        assert client.get(path).status_code in (303, 401), path
    for person in ("op1", "fin1", "aud1", "ed1"):
        sign_in(client, person)
        for path in READ:
            assert client.get(path).status_code == (403 if person == "ed1" else 200), f"{person} {path}"
        for path, body, allowed in CHANGE:
            status = client.post(path, json=body).status_code
            assert status in ((200, 201) if person in allowed else (403,)), f"{person} {path}"


def test_finance_closes_a_month_through_the_api(client: httpx.Client) -> None:
    sign_in(client, "fin1")
    assert client.post(f"{AT}/terms", json={"first_day": "2026-01-01", "share_bp": 5000}).json()["terms"] == [
        {"offer": "", "first_day": "2026-01-01", "share_bp": 5000}
    ]
    (listed,) = client.get("/api/v1/settlements?month=2026-01").json()["merchants"]
    assert (listed["merchant"], listed["state"], listed["completed"], listed["subsidy"]) == (MERCHANT, "open", 2, 4500)
    found = client.get(JAN).json()
    assert found["totals"] == {
        "completed": 2,
        "voided": 1,
        "charges": 0,
        "units": 3,
        "list": 12_000,
        "pay": 3_000,
        "saving": 9_000,
        "charged": 0,
        "subsidy": 4_500,
    }
    assert client.get(f"{JAN}/signed").json()["code"] == "settlement-open"
    moved = client.post(f"{JAN}/close", json={"digest": "0" * 64})
    assert (moved.status_code, moved.json()["code"]) == (409, "settlement-changed")
    closed = client.post(f"{JAN}/close", json={"digest": found["digest"]})
    assert (closed.status_code, closed.json()["state"], closed.json()["closed_by"]) == (200, "closed", "fin1")
    assert client.post(f"{JAN}/close", json={}).json() == closed.json()
    form = client.get(f"{JAN}/signed").json()
    assert is_signed_by(form["document"].encode(), form["signature"], form["key"])
    early = client.post(f"{AT}/settlements/2026-02/close", json={})
    assert (early.status_code, early.json()["code"]) == (409, "month-not-over")
    late = client.post(f"{AT}/terms", json={"first_day": "2026-01-31", "share_bp": 1})
    assert (late.status_code, late.json()["code"]) == (409, "terms-settled")


def test_the_files_say_what_the_page_says(client: httpx.Client) -> None:
    from openpyxl import load_workbook

    sign_in(client, "fin1")
    client.post(f"{AT}/terms", json={"first_day": "2026-01-01", "share_bp": 3333, "offer": "winter-film"})
    told = client.get(f"{JAN}.csv?language=en")
    assert told.headers["content-type"] == "text/csv; charset=utf-8"
    assert quote(f"jingka-{MERCHANT}-2026-01.csv", safe="") in told.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(told.content.decode("utf-8-sig"))))
    assert [
        "2026-01-05",
        "",
        "completed",
        "winter-film",
        "33.33",
        "2",
        "4",
        "160.00",
        "40.00",
        "120.00",
        "40.00",
    ] in rows
    assert ["Subsidy owed (yuan)", "30.00"] in rows
    for address in (f"{JAN}.xlsx", f"{AT}/year/2026.xlsx"):
        book = load_workbook(io.BytesIO(client.get(address).content))
        assert any(cell.value == MERCHANT for sheet in book for row in sheet.iter_rows() for cell in row)


def test_a_merchant_s_name_is_never_a_formula(client: httpx.Client) -> None:
    from openpyxl import load_workbook

    sign_in(client, "aud1")
    evil = quote("=HYPERLINK(1)", safe="")
    told = client.get(f"/api/v1/merchants/{evil}/settlements/2026-01.csv").content.decode("utf-8-sig")
    assert "'=HYPERLINK(1)" in told
    book = load_workbook(io.BytesIO(client.get(f"/api/v1/merchants/{evil}/year/2026.xlsx").content))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert all(cell.data_type != "f" for cell in cells)


def test_a_conflict_is_settled_through_the_api(client: httpx.Client) -> None:
    sign_in(client, "op1")
    (open_one,) = client.get("/api/v1/conflicts?state=open&code=over-limit").json()["conflicts"]
    assert (open_one["state"], open_one["story"]["offer"]) == ("open", "winter-film")
    verdict = {"conflicts": [FINDING], "decision": "charged", "amount": 1500, "note": "两次"}
    (settled,) = client.post("/api/v1/conflicts", json=verdict).json()["conflicts"]
    assert (settled["state"], settled["charged"], settled["decided_by"]) == ("charged", 1500, "op1")
    assert client.get("/api/v1/conflicts?state=open").json() == {"conflicts": [], "next": None}
    assert "办理数量超过上限" not in client.get("/").text, "the overview lists what is still to settle"
    missing = client.post("/api/v1/conflicts", json=verdict | {"conflicts": [FINDING | {"sequence": 2}]})
    assert (missing.status_code, missing.json()["code"]) == (404, "conflict-missing")
    typed = client.post("/api/v1/conflicts", json=verdict | {"note": "6210947000000021003"})
    assert (typed.status_code, typed.json()["code"]) == (422, "card-number-typed")


def test_complaints_are_noted_settled_and_reviewed(client: httpx.Client) -> None:
    sign_in(client, "op1")
    new = {"merchant": MERCHANT, "terminal": "bj-0001", "day": "2026-01-05", "text": "等了半小时"}
    noted = client.post("/api/v1/complaints", json=new)
    assert (noted.status_code, noted.json()["outcome"]) == (201, None)
    number = noted.json()["id"]
    refused = client.post("/api/v1/complaints", json=new | {"text": "卡号 6210 9470 0000 0021 003"})
    assert (refused.status_code, refused.json()["code"]) == (422, "card-number-typed")
    settled = client.post(f"/api/v1/complaints/{number}", json={"outcome": "商户已道歉"})
    assert settled.json()["outcome"] == "商户已道歉"
    missing = client.post("/api/v1/complaints/999", json={"outcome": "x"})
    assert (missing.status_code, missing.json()["code"]) == (404, "complaint-missing")
    review = client.get(f"{AT}/year/2026").json()
    assert (review["total"]["completed"], review["total"]["voided"], review["members"]) == (2, 1, 1)
    assert (review["complaint_count"], review["complaints_open"], review["findings"][0]["count"]) == (1, 0, 1)
    assert [each["month"] for each in review["months"]] == ["2026-01"]
    assert client.get(f"{AT}/year/2025").json()["total"]["completed"] == 0
    assert len(client.get("/api/v1/complaints").json()["complaints"]) == 1


BAD = (
    f"{AT}/settlements/2026-13",
    f"{AT}/settlements/x.csv",
    f"{AT}/year/0",
    "/api/v1/settlements?month=1",
    "/api/v1/conflicts?state=maybe",
    "/api/v1/conflicts?before=x",
    "/api/v1/days?day=2026-02-30",
    "/api/v1/complaints?before=99999999999999999999",
)


@pytest.mark.parametrize("path", BAD)
def test_bad_queries_are_problems_and_no_faults(client: httpx.Client, path: str) -> None:
    sign_in(client, "aud1")
    answer = client.get(path)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_pages_speak_both_languages(client: httpx.Client) -> None:
    sign_in(client, "fin1")
    for path, words in (
        ("/settlement?month=2026-01", ("应付补贴", MERCHANT)),
        (PAGE, ("关 2026-01 的账", "没有约定补贴")),
        ("/conflicts", ("办理数量超过上限", "冬季看电影", "3 of 2")),
        ("/merchants", (MERCHANT, "优惠册中没有")),
        (YEAR_PAGE, ("服务会员卡数", "没有投诉")),
        ("/days", ("没有日结",)),
    ):
        page = client.get(path).text
        for word in words:
            assert word in page, f"{path} {word}"
    client.post("/language", data={"language": "en", "back": "/"})
    for path, word in (
        ("/settlement?month=2026-01", "Subsidy owed"),
        (PAGE, "Close 2026-01"),
        ("/conflicts", "Winter film"),
        ("/merchants", "not in the book"),
        (YEAR_PAGE, "Cards served"),
        ("/days", "No day was closed"),
    ):
        assert word in client.get(path).text, path


def test_finance_does_it_all_on_the_pages(client: httpx.Client) -> None:
    sign_in(client, "fin1")
    terms = client.post(f"{PAGE}/terms", data={"first_day": "2026-01-01", "share": "33.5", "offer": ""})
    assert terms.status_code == 303
    settled = client.post(
        "/conflicts",
        data={
            "conflict": "bj-0001 1 over-limit",
            "decision": "charged",
            "amount": "",
            "note": "x",
            "query": "state=all",
        },
    )
    assert (settled.status_code, settled.headers["location"]) == (303, "/conflicts?state=all")
    assert "商户承担" in client.get("/conflicts?state=settled").text
    page = client.get(PAGE).text
    assert "33.5%" in page
    digest = re.search(r'name="digest" value="([0-9a-f]{64})"', page)
    assert digest is not None
    assert client.post(f"{PAGE}/close", data={"digest": digest[1]}).status_code == 303
    page = client.get(PAGE).text
    assert "已关账" in page
    assert "签名" in page
    complained = client.post(f"{YEAR_PAGE}/complaints", data={"day": "2026-01-05", "text": "冷", "terminal": ""})
    assert complained.status_code == 303
    assert client.post(f"{YEAR_PAGE}/complaints/1", data={"outcome": "好了"}).status_code == 303
    assert "好了" in client.get(YEAR_PAGE).text


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        (f"{PAGE}/close", {"digest": "0" * 64}, 409),
        (f"{PAGE}/terms", {"first_day": "2026-01-01", "share": "100.01", "offer": ""}, 422),
        (f"{PAGE}/terms", {"first_day": "2026-01-01", "share": "9" * 5000, "offer": ""}, 422),
        (f"{PAGE}/terms", {"first_day": "x", "share": "5", "offer": ""}, 422),
        ("/conflicts", {"decision": "charged", "note": ""}, 422),
        ("/conflicts", {"conflict": "bj-0001 1", "decision": "charged"}, 422),
        ("/conflicts", {"conflict": "bj-0001 1 over-limit", "decision": "charged"}, 409),
        (f"{YEAR_PAGE}/complaints", {"day": "2026-01-05", "text": "6210947000000021003"}, 422),
        (f"{YEAR_PAGE}/complaints/7", {"outcome": "x"}, 404),
    ],
)
def test_what_a_form_cannot_do_is_said_on_its_page(
    client: httpx.Client, path: str, data: dict[str, str], status: int
) -> None:
    sign_in(client, "fin1")
    refused = client.post(path, data=data)
    assert refused.status_code == status
    assert 'class="notice bad"' in refused.text
