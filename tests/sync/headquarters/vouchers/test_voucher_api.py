"""Vouchers over HTTP, as API and as pages: roles, refusals, and no code or card number anywhere it could be read."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.places import PEOPLE_FILE
from sync.headquarters.app import create_app
from sync.private_file import create_private
from terminal.serving.locale import LANGUAGE_COOKIE
from terminal.serving.people import Person, Role, add_person
from tests.fakes.vouchers import KEY
from tests.sync.headquarters.client import OPERATOR_PIN, HandClock, hq_settings, served, sign_in
from tests.sync.headquarters.vouchers.rows import FAIR, code, listed, row
from tests.sync.headquarters.written_ledger import NOON

CARD = "6210947000000021"
PEOPLE = {"ed1": Role.EDITOR, "op1": Role.OPERATOR, "ap1": Role.APPROVER, "au1": Role.AUDITOR, "fi1": Role.FINANCE}


@dataclass
class Office:
    """Headquarters with a programme key, whoever is signed in, and all that the API ever said."""

    client: httpx.Client
    hq_dir: Path
    said: list[bytes]

    def post(self, path: str, body: Any = None, status: int = 200) -> dict[str, Any]:
        answer = self.client.post(f"/api/v1/vouchers{path}", json=body)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def bring(self, *rows: str) -> dict[str, Any]:
        answer = self.client.post("/api/v1/vouchers/lists", content=listed(rows))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def import_(self, *rows: str) -> None:
        self.post(f"/lists/{self.bring(*rows)['summary']['id']}/confirm")

    def as_person(self, person: str) -> None:
        self.client.delete("/api/v1/session")
        sign_in(self.client, person)

    def upload(self, *rows: str) -> httpx.Response:
        form = {"file": ("fair.csv", listed(rows), "text/csv")}
        return self.client.post("/vouchers", files=form, follow_redirects=True)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One of each role; each PIN costs 30 ms."""
    path = tmp_path_factory.mktemp("people") / PEOPLE_FILE
    for person, role in PEOPLE.items():
        add_person(path, Person(person, person, role), OPERATOR_PIN)
    return path.read_bytes()


@pytest.fixture
def office(tmp_path: Path, people: bytes, caplog: pytest.LogCaptureFixture) -> Iterator[Office]:
    caplog.set_level(logging.DEBUG)
    hq_dir = tmp_path / "hq"
    hq_dir.mkdir()
    key_file = tmp_path / "key.toml"
    create_private(key_file, f'version = 1\nkey = "{KEY.secret.hex()}"\n'.encode())
    create_private(hq_dir / PEOPLE_FILE, people)
    with served(create_app(hq_settings(hq_dir, programme_key=key_file), HandClock(NOON))) as client:
        said: list[bytes] = []

        def keep(answer: httpx.Response) -> None:
            if "/api/" in str(answer.url):
                said.append(answer.read() + str(answer.headers).encode())

        client.event_hooks["response"].append(keep)
        sign_in(client, "ed1")
        yield Office(client, hq_dir, said)
    secret = re.compile(f"{CARD}|{code(1)}|{code(2)}".encode())
    assert not [each for each in said if secret.search(each)]
    assert not secret.search(caplog.text.encode())
    for file in hq_dir.rglob("*"):
        assert not file.is_file() or not secret.search(file.read_bytes()), file


def test_a_list_comes_in_and_single_vouchers_are_looked_up_and_withdrawn(office: Office) -> None:
    brought = office.bring(f"{code(1)},{FAIR},{CARD},,2026-02-15,ditan,", row(2), "x")
    assert brought["rejected"] == [{"line": 4, "reason": "columns"}]
    assert office.client.get("/api/v1/vouchers").json()["version"] == 0
    assert office.post(f"/lists/{brought['summary']['id']}/confirm")["state"] == "done"
    typed = f" {code(1)[:4].lower()}-{code(1)[4:]}"
    found = office.post("/find", {"code": typed})
    expected = {"offer": FAIR, "bound": True, "last_day": "2026-02-15", "merchants": ["ditan"], "revoked": False}
    assert found == expected
    assert office.post("/withdraw", {"code": typed}) == expected | {"revoked": True}
    page = office.client.get("/api/v1/vouchers").json()
    assert (page["version"], page["offers"][0]["count"], page["offers"][0]["revoked"]) == (2, 2, 1)
    assert office.post("/restore", {"code": typed})["revoked"] is False
    assert office.post("/forget", {"offer": FAIR}) == {"offer": FAIR, "vouchers": 2}
    assert office.client.get("/api/v1/vouchers").json()["offers"] == []


WRONG: list[tuple[str, Any, int, str]] = [
    ("/find", {"code": code(1)}, 404, "voucher-unregistered"),
    ("/find", {"code": code(1)[:-1]}, 422, "voucher-code-mistyped"),
    ("/find", {"code": [code(1)]}, 422, "request-invalid"),
    ("/find", {"code": code(1) * 20}, 422, "request-invalid"),
    ("/withdraw", {"code": code(1)}, 404, "voucher-unregistered"),
    ("/restore", {"code": CARD}, 422, "voucher-code-mistyped"),
    ("/forget", {"offer": FAIR}, 404, "voucher-offer-missing"),
    ("/forget", {"offer": "Temple Fair"}, 422, "request-invalid"),
    ("/lists/9/confirm", None, 404, "voucher-list-missing"),
    ("/lists/9/discard", None, 404, "voucher-list-missing"),
]


def test_what_is_wrong_is_told_without_what_was_typed(office: Office) -> None:
    for path, body, status, error in WRONG:
        assert office.post(path, body, status)["code"] == error, path
    refused = office.client.post("/api/v1/vouchers/lists", content=row(1))
    assert (refused.status_code, refused.json()["code"]) == (422, "voucher-list-invalid")


# Who may: look, bring in, confirm, withdraw, restore.
MAY = {
    "ed1": (True, True, True, True, True),
    "op1": (True, False, False, True, False),
    "ap1": (True, False, True, False, False),
    "au1": (True, False, False, False, False),
    "fi1": (False, False, False, False, False),
}


def test_each_role_may_do_its_own_and_no_more(office: Office) -> None:
    office.import_(row(1))
    for person, (look, bring, confirm, withdraw, restore) in MAY.items():
        office.as_person("ed1")
        number = office.bring(row(1), row(2))["summary"]["id"]
        office.as_person(person)
        api, page = office.client.get("/api/v1/vouchers"), office.client.get("/vouchers")
        assert (api.status_code, page.status_code) == ((200, 200) if look else (403, 403))
        asked = {
            "/api/v1/vouchers/lists": (bring, {"content": listed([row(1)])}),
            "/api/v1/vouchers/withdraw": (withdraw, {"json": {"code": code(1)}}),
            "/api/v1/vouchers/restore": (restore, {"json": {"code": code(1)}}),
            "/vouchers/withdraw": (withdraw, {"data": {"code": code(1)}}),
            "/vouchers/restore": (restore, {"data": {"code": code(1)}}),
            "/vouchers/find": (look, {"data": {"code": code(1)}}),
        }
        for path, (may, what) in asked.items():
            answer = office.client.post(path, **what)
            assert (answer.status_code == 403) is not may, (person, path, answer.status_code)
        settled = office.client.post(f"/api/v1/vouchers/lists/{number}/confirm")
        assert (settled.status_code == 403) is not confirm, (person, settled.text)


def test_the_pages_lead_from_a_list_to_a_voucher_in_both_languages(office: Office) -> None:
    preview = office.upload(row(1, out=True), row(2), "x")
    assert "/vouchers/lists/1" in str(preview.url)
    assert "列数与表头不符" in preview.text
    done = office.client.post("/vouchers/lists/1/confirm", follow_redirects=True)
    assert "已生效" in done.text
    again = office.client.post("/vouchers/lists/1/confirm")
    assert (again.status_code, "已处理" in again.text) == (409, True)
    restored = office.upload(row(1), row(2))
    assert "让已作废的券重新有效" in restored.text
    office.client.post("/vouchers/lists/2/discard")
    found = office.client.post("/vouchers/find", data={"code": code(2)})
    assert "有效登记" in found.text
    assert office.client.get("/vouchers/find", follow_redirects=True).url.path == "/vouchers"
    gone = office.client.post("/vouchers/withdraw", data={"code": code(2)})
    assert "已作废" in gone.text
    unknown = office.client.post("/vouchers/find", data={"code": code(7)})
    assert (unknown.status_code, "登记册中没有这张券" in unknown.text) == (404, True)
    office.client.cookies.set(LANGUAGE_COOKIE, "en")
    english = office.client.get("/vouchers")
    assert "Registered" in english.text
    assert office.client.post("/vouchers/forget", data={"offer": FAIR}, follow_redirects=True).status_code == 200
    assert office.client.post("/vouchers/forget", data={"offer": FAIR}).status_code == 404
    assert office.client.post("/vouchers", data={"file": "none"}).status_code == 422


def test_without_a_programme_key_there_is_no_register(tmp_path: Path, people: bytes) -> None:
    hq_dir = tmp_path / "hq"
    hq_dir.mkdir()
    create_private(hq_dir / PEOPLE_FILE, people)
    with served(create_app(hq_settings(hq_dir), HandClock(NOON))) as client:
        sign_in(client, "ed1")
        refused = client.post("/api/v1/vouchers/lists", content=listed([row(1)]))
        assert (refused.status_code, refused.json()["code"]) == (409, "hashing-key-missing")
        assert client.get("/vouchers").status_code == 200
