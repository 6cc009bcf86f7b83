"""Members and lists over HTTP, as API and as pages: roles, refusals, and no card number anywhere it could be read."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.places import PEOPLE_FILE
from sync.headquarters import fleet
from sync.headquarters.app import create_app
from sync.headquarters.storage import open_storage
from sync.private_file import create_private
from sync.signing import DeviceKey, HttpRequest, sign_request
from sync.wire_roll import chunk_path, roll_path
from terminal.membership.token import ProgrammeKey, load_programme_key
from terminal.serving.people import Person, Role, add_person
from tests.sync.headquarters.client import OPERATOR_PIN, HandClock, hq_settings, served, sign_in
from tests.sync.headquarters.roll.lists import KEY, digits, line, token
from tests.sync.headquarters.written_ledger import NOON, known_ledger

PAN = re.compile(rb"(?<!\d)62\d{14,17}(?!\d)")
HEADER = "pan,standing,class,issued,person\n"


@dataclass
class Office:
    """Headquarters with a programme key, an operator who is signed in, and all that it ever said."""

    client: httpx.Client
    clock: HandClock
    hq_dir: Path
    said: list[bytes]

    def post(self, path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
        answer = self.client.post(f"/api/v1{path}", json=body)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def bring(self, lines: list[str], status: int = 201) -> dict[str, Any]:
        content = HEADER + "\n".join(lines)
        answer = self.client.post("/api/v1/roll/lists?kind=combined", content=content)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def as_person(self, person: str) -> None:
        self.client.delete("/api/v1/session")
        sign_in(self.client, person)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An operator, a second one, an approver, an auditor; each PIN costs 30 ms."""
    path = tmp_path_factory.mktemp("people") / PEOPLE_FILE
    for person, role in (("op1", "operator"), ("op2", "operator"), ("au1", "auditor"), ("fi1", "finance")):
        add_person(path, Person(person, person, Role(role)), OPERATOR_PIN)
    return path.read_bytes()


@pytest.fixture
def office(tmp_path: Path, people: bytes, caplog: pytest.LogCaptureFixture) -> Iterator[Office]:
    caplog.set_level(logging.DEBUG)
    hq_dir = tmp_path / "hq"
    hq_dir.mkdir()
    key_file = tmp_path / "key.toml"
    create_private(key_file, f'version = 1\nkey = "{KEY.secret.hex()}"\n'.encode())
    assert load_programme_key(key_file) == ProgrammeKey(1, KEY.secret)
    create_private(hq_dir / PEOPLE_FILE, people)
    clock = HandClock(NOON)
    with served(create_app(hq_settings(hq_dir, programme_key=key_file), clock)) as client:
        said: list[bytes] = []
        client.event_hooks["response"].append(lambda answer: said.append(answer.read() + str(answer.headers).encode()))
        sign_in(client)
        office = Office(client, clock, hq_dir, said)
        yield office
    assert not [each for each in said if PAN.search(each)]
    assert not PAN.search(caplog.text.encode())
    for file in hq_dir.rglob("*"):
        assert not file.is_file() or not PAN.search(file.read_bytes()), file


def test_a_card_is_looked_up_changed_and_replaced(office: Office) -> None:
    brought = office.bring([line(1), line(2, person=1), "rubbish"])
    assert (brought["summary"]["preview"]["changes"], brought["rejected"]) == (2, [{"line": 4, "reason": "columns"}])
    done = office.post(f"/roll/lists/{brought['summary']['id']}/confirm", {})
    assert done["state"] == "done"
    typed = f"{digits(1)[:4]} {digits(1)[4:]}"
    found = office.post("/members/find", {"card": typed})
    assert (found["member"]["token"], found["member"]["standing"]) == (token(1), "active")
    assert [each["token"] for each in found["cards"]] == [token(2)]
    suspended = office.post("/members/standing", {"token": token(1), "action": "suspend"})
    assert suspended["standing"] == "suspended"
    assert office.client.get("/api/v1/members/overdue").json() == {"members": []}
    fresh = office.post("/members/replacement", {"card": typed, "new": digits(11)}, 201)
    assert (fresh["token"], fresh["standing"], fresh["person"]) == (token(11), "inactive", found["member"]["person"])
    history = office.post("/members/find", {"token": token(1)})["history"]
    assert [each["standing"] for each in history] == ["lost", "suspended", "active"]
    added = office.post("/members", {"card": digits(12), "person": "P-9", "temporary": True}, 201)
    assert (added["standing"], added["valid_until"]) == ("active", "2026-03-05")


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("/members/find", {"card": digits(5)}, 404, "member-missing"),
    ("/members/find", {"card": digits(5)[:-1] + "x"}, 409, "card-number-mistyped"),
    ("/members/find", {"card": digits(5), "token": token(5)}, 422, "request-invalid"),
    ("/members/find", {"card": [digits(5)]}, 422, "request-invalid"),
    ("/members/find", {digits(5): digits(5)}, 422, "request-invalid"),
    ("/members/find", {"token": digits(5)}, 422, "request-invalid"),
    ("/members/standing", {"card": digits(5), "action": digits(5)}, 422, "request-invalid"),
    ("/members/standing", {"card": digits(5), "action": "suspend"}, 404, "member-missing"),
    ("/members", {"card": digits(5), "member_class": digits(5)}, 422, "request-invalid"),
    ("/roll/lists/9/confirm", {}, 404, "import-missing"),
]


def test_what_is_wrong_is_told_without_the_number(office: Office) -> None:
    for path, body, status, code in WRONG:
        assert office.post(path, body, status)["code"] == code, path


def test_a_list_of_another_form_is_refused(office: Office) -> None:
    answer = office.client.post("/api/v1/roll/lists?kind=bank", content=line(1))
    assert (answer.status_code, answer.json()["code"]) == (422, "card-list-invalid")


def test_an_auditor_reads_and_changes_nothing_and_finance_does_neither(office: Office) -> None:
    office.post(f"/roll/lists/{office.bring([line(1)])['summary']['id']}/confirm", {})
    office.as_person("au1")
    office.post("/members/find", {"card": digits(1)})
    assert office.client.get("/members").status_code == office.client.get("/roll").status_code == 200
    refused = [
        office.client.post("/api/v1/members/standing", json={"card": digits(1), "action": "suspend"}),
        office.client.post("/api/v1/roll/lists?kind=union", content="x"),
        office.client.post(f"/members/{token(1)}/suspend"),
        office.client.post("/roll/1/confirm"),
    ]
    assert [each.status_code for each in refused] == [403] * 4
    office.as_person("fi1")
    assert office.client.post("/api/v1/members/find", json={"card": digits(1)}).status_code == 403


def test_the_pages_do_the_same(office: Office) -> None:
    client = office.client
    content = (HEADER + "\n".join([*(line(number) for number in range(20)), "x"])).encode()
    sent = client.post("/roll", data={"kind": "combined"}, files={"file": ("cards.csv", content, "text/csv")})
    assert (sent.status_code, sent.headers["location"]) == (303, "/roll/1")
    assert "列数与表头不符" in client.get("/roll/1").text
    assert client.post("/roll/1/confirm").headers["location"] == "/roll/1"
    found = client.post("/members/find", data={"card": digits(1)})
    assert found.headers["location"] == f"/members/{token(1)}"
    assert client.post(f"/members/{token(1)}/suspend").status_code == 303
    assert "已口头挂失" in client.get(f"/members/{token(1)}").text
    again = client.post(f"/members/{token(1)}/suspend", headers={"accept": "text/html"})
    assert (again.status_code, "不能口头挂失" in again.text) == (409, True)
    mistyped = client.post("/members/find", data={"card": digits(1)[:-1]}, headers={"accept": "text/html"})
    assert (mistyped.status_code, "卡号不对" in mistyped.text) == (409, True)
    replaced = client.post(f"/members/{token(1)}/replace", data={"card": digits(21)})
    assert replaced.headers["location"] == f"/members/{token(21)}"
    office.clock.now += timedelta(days=8)
    client.post(f"/members/{token(2)}/suspend")
    office.clock.now += timedelta(days=8)
    sign_in(client)
    assert token(2) in client.get("/members").text
    wrong = client.post("/roll", data={"kind": "bank"}, files={"file": ("cards.csv", content, "text/csv")})
    assert "表头不正确" in wrong.text
    assert client.post("/roll", data={"kind": "bank"}).status_code == 422


def test_a_list_that_takes_many_cards_asks_for_a_second_person(office: Office) -> None:
    office.post(f"/roll/lists/{office.bring([line(number) for number in range(10)])['summary']['id']}/confirm", {})
    number = office.bring([line(1)])["summary"]["id"]
    assert office.post(f"/roll/lists/{number}/confirm", {})["state"] == "second"
    assert office.post(f"/roll/lists/{number}/confirm", {}, 409)["code"] == "second-person-needed"
    assert "须由两人" in office.client.get(f"/roll/{number}").text
    office.as_person("op2")
    assert office.post(f"/roll/lists/{number}/confirm", {})["state"] == "done"


def test_an_upload_is_never_put_into_a_file(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a list on its way to a file")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    content = (HEADER + "\n".join(["x" * 900] * 3000)).encode()  # more than a form keeps in memory as a rule
    sent = office.client.post("/roll", data={"kind": "combined"}, files={"file": ("a.csv", content, "text/csv")})
    assert sent.status_code == 303


ROLL, CHUNK = roll_path("bj-0001", base="", after=0), chunk_path("bj-0001", f"1-{'a' * 16}", 0)


@pytest.mark.parametrize("path", [ROLL, CHUNK])
def test_a_terminal_must_prove_itself_to_be_given_the_roll(office: Office, path: str) -> None:
    storage = open_storage("", office.hq_dir)
    keys = {name: DeviceKey.generate() for name in ("bj-0001", "bj-0002", "stranger")}
    for name in ("bj-0001", "bj-0002"):
        known_ledger(storage, name, keys[name].public.hex())

    def signed(terminal: str, at: datetime = NOON) -> dict[str, str]:
        request = HttpRequest("GET", str(office.client.base_url.join(path)), {}, b"")
        key = keys[terminal]
        return sign_request(request, key=key, key_id=terminal, now=at, nonce=secrets.token_hex(16))

    def code(headers: dict[str, str]) -> str:
        answer = office.client.get(path, headers=headers)
        assert "signature" in answer.headers or not headers
        return str(answer.json()["code"])

    good = signed("bj-0001")
    assert code({}) == "signature-missing"
    assert code(signed("stranger")) == "terminal-unknown"
    assert code(signed("bj-0002")) == "signature-invalid"
    assert code(signed("bj-0001", NOON - timedelta(hours=1))) == "clock-skewed"
    assert code(good) == "snapshot-missing"
    assert code(good) == "snapshot-missing", "it has done nothing, so it may come again"
    with storage.write() as connection:
        fleet.revoke(connection, "bj-0001")
    assert code(signed("bj-0001")) == "terminal-revoked"
    storage.close()


def test_without_a_programme_key_no_number_is_taken(tmp_path: Path, people: bytes) -> None:
    create_private(tmp_path / PEOPLE_FILE, people)
    with served(create_app(hq_settings(tmp_path), HandClock(NOON))) as client:
        sign_in(client)
        answer = client.post("/api/v1/members/find", json={"card": digits(1)})
        assert (answer.status_code, answer.json()["code"]) == (409, "hashing-key-missing")
